/**
 * The bus pci_express: services of PCIe ports as devices of their own below the port, each held by its driver
 * (drivers/pci/pcie/portdrv.c).
 */
import { refuse } from '../../abi/errno.js';
import type { PciFunction } from '../../host/pci-function.js';
import { type PortService, serviceDrivers } from '../../host/port-services.js';
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
import { parseName } from '../kit/parse.js';
import { findFunction, paths } from '../paths.js';
import { deviceUevent, plainUevent } from './uevent.js';

/** Directories of a port's services in the port's own directory. */
export function portServiceDirectories({ host }: Model): Entry<PciFunction> {
  const { services } = host;
  const has = (service: PortService) => services.hasDriver(service);
  const type = new DirectoryClass<PortService>(
    [
      link('driver', ({ driver }) => paths.serviceDriver(driver), { when: has, told: true }),
      link('subsystem', () => paths.serviceBus),
      // Devices without callbacks have no attributes in it (pm_runtime_no_callbacks()).
      subdirectory('power', []),
      deviceUevent(host, 'pci_express', (service) => (has(service) ? [`DRIVER=${service.driver}`] : [])),
    ],
    { key: ({ port, name }) => `${name} of ${port.bdf}`, volatile: true },
  );
  return directories<PciFunction, PortService>(
    {
      names: (port) => (port.isBridge ? services.of(port).map(({ name }) => name) : []),
      find: (port, name) => (port.isBridge ? services.of(port).find((row) => row.name === name) : undefined),
    },
    type,
  );
}

/** /sys/bus/pci_express. */
export function pciExpressBus({ host }: Model): Entry<void> {
  const bus = host.services;
  function* all(): Iterable<PortService> {
    for (const fn of host.functions.values()) if (fn.isBridge) yield* bus.of(fn);
  }
  const find = (name: string) => {
    const port = findFunction(host, name.slice(0, name.lastIndexOf(':')));
    return port?.isBridge ? bus.of(port).find((service) => service.name === name) : undefined;
  };
  const known = (content: string) =>
    find(parseName(content)) ?? refuse('ENODEV', `no device ${parseName(content)}`);
  const services: Children<void, PortService> = {
    names: () => [...all()].map(({ name }) => name),
    find: (_, name) => find(name),
  };
  const isOf = (service: PortService, driver: string) => service.driver === driver && bus.hasDriver(service);
  const bound: Children<string, PortService> = {
    names: (driver) => [...all()].filter((row) => isOf(row, driver)).map(({ name }) => name),
    find: (driver, name) => {
      const service = find(name);
      return service && isOf(service, driver) ? service : undefined;
    },
  };
  const driver = new DirectoryClass<string>([
    text('bind', { store: (name, content) => bus.bind(name, known(content)) }),
    text('unbind', { store: (name, content) => bus.unbind(name, known(content)) }),
    plainUevent(host, 'drivers'),
    links(bound, paths.service),
  ]);
  const drivers: Children<void, string> = {
    names: () => serviceDrivers,
    find: (_, name) => serviceDrivers.find((row) => row === name),
  };
  return subdirectory('pci_express', [
    subdirectory('devices', [links(services, paths.service)]),
    subdirectory('drivers', [directories(drivers, driver)]),
    text('drivers_autoprobe', {
      show: () => Number(bus.autoprobe),
      store(_, content) {
        bus.autoprobe = content[0] !== '0';
      },
    }),
    text('drivers_probe', { store: (_, content) => bus.probe(known(content)) }),
    plainUevent(host, 'bus'),
  ]);
}
