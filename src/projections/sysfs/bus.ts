/** /sys/bus/pci: devices and drivers by name, and what binds them (drivers/base/bus.c, drivers/pci/pci-driver.c). */
import { refuse } from '../../abi/errno.js';
import type { PciDriver } from '../../host/driver.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Model } from '../context.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  link,
  links,
  subdirectory,
  text,
} from '../kit/directory.js';
import { cString, parseName } from '../kit/parse.js';
import { findFunction, paths } from '../paths.js';
import { extraAttributes } from './attributes.js';
import { rescan } from './function-state.js';
import { slots } from './slots.js';
import { plainUevent } from './uevent.js';

/**
 * /sys/bus/pci/drivers/<drv>. Writing to `unbind` waits as long as the driver's remove does, and no signal ends the wait: for vfio-pci
 * that is until the last user has closed the device.
 */
function driverDirectory({ host }: Model): DirectoryClass<PciDriver> {
  const { drivers } = host;
  const bound: Children<PciDriver, PciFunction> = {
    *names(driver) {
      for (const fn of host.functions.values()) if (fn.driver === driver) yield fn.bdf;
    },
    find(driver, name) {
      const fn = findFunction(host, name);
      return fn?.driver === driver ? fn : undefined;
    },
  };
  return new DirectoryClass<PciDriver>(
    [
      text('bind', { store: (driver, content) => drivers.bind(driver, parseName(content)) }),
      text('unbind', { store: (driver, content) => drivers.unbind(driver, parseName(content)) }),
      text('new_id', { store: (driver, content) => drivers.newId(driver, cString(content)) }),
      text('remove_id', { store: (driver, content) => drivers.removeId(driver, cString(content)) }),
      plainUevent(host, 'drivers'),
      link('module', (driver) => paths.module(driver.module), {
        when: (driver) => host.modules.has(driver.module),
      }),
      links(bound, paths.function),
      ...extraAttributes<PciDriver>((driver) => driver.attributes),
    ],
    // A driver stays; directories come and go in it only if its description has attributes.
    { key: (driver) => driver, countTold: ({ attributes }) => attributes === undefined },
  );
}

/** resource_alignment_store() keeps one page, less the newline and NUL it adds. */
const alignmentLimit = 4095;

export function pciBus(model: Model): Entry<void> {
  const { host } = model;
  let alignment = '';
  const drivers: Children<void, PciDriver> = {
    names: () => [...host.drivers.all()].map((driver) => driver.name),
    find: (_, name) => host.drivers.get(name),
  };
  const devices: Children<void, PciFunction> = {
    names: () => host.functions.keys(),
    find: (_, name) => findFunction(host, name),
  };
  return subdirectory('pci', [
    subdirectory('devices', [links(devices, paths.function, { told: true })]),
    // All of them are there before anybody looks.
    subdirectory('drivers', [directories(drivers, driverDirectory(model))], { countTold: true }),
    slots(model),
    text('drivers_autoprobe', {
      show: () => Number(host.drivers.autoprobe),
      store(_, content) {
        host.drivers.autoprobe = content[0] !== '0';
      },
    }),
    text('drivers_probe', { store: (_, content) => host.drivers.probe(parseName(content)) }),
    rescan(host, () => undefined),
    text('resource_alignment', {
      show: () => (alignment === '' ? [] : alignment),
      store(_, content) {
        if (content.length >= alignmentLimit) refuse('EINVAL', 'resource_alignment too long');
        alignment = cString(content).split('\n')[0] ?? '';
      },
    }),
    plainUevent(host, 'bus'),
  ]);
}
