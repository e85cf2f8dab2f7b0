/**
 * The bus pci_express: services of PCIe ports as devices of their own below the port, each held by its driver
 * (drivers/pci/pcie/portdrv.c). Bindings are as at boot: nothing here takes a service away from its driver.
 */
import { refuse } from '../../abi/errno.js';
import type { PciFunction } from '../../host/pci-function.js';
import { type PortService, portServices, serviceDrivers } from '../../host/port-services.js';
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

/** Only while pcieport has the port. */
const servicesOf = (port: PciFunction): PortService[] =>
  port.driver?.name === 'pcieport' ? portServices(port) : [];

/** Directories of a port's services in the port's own directory. */
export function portServiceDirectories(): Entry<PciFunction> {
  const type = new DirectoryClass<PortService>(
    [
      link('driver', ({ driver }) => paths.serviceDriver(driver)),
      link('subsystem', () => paths.serviceBus),
      // Devices without callbacks have no attributes in it (pm_runtime_no_callbacks()).
      subdirectory('power', []),
      deviceUevent(({ driver }) => [`DRIVER=${driver}`]),
    ],
    { key: ({ port, name }) => `${name} of ${port.bdf}`, volatile: true },
  );
  return directories<PciFunction, PortService>(
    {
      names: (port) => (port.isBridge ? servicesOf(port).map(({ name }) => name) : []),
      find: (port, name) => servicesOf(port).find((service) => service.name === name),
    },
    type,
  );
}

/** /sys/bus/pci_express. */
export function pciExpressBus({ host }: Model): Entry<void> {
  let autoprobe = true;
  function* all(): Iterable<PortService> {
    for (const fn of host.functions.values()) if (fn.isBridge) yield* servicesOf(fn);
  }
  const find = (name: string) => {
    const port = findFunction(host, name.slice(0, name.lastIndexOf(':')));
    return port?.isBridge ? servicesOf(port).find((service) => service.name === name) : undefined;
  };
  const known = (content: string) =>
    find(parseName(content)) ?? refuse('ENODEV', `no device ${parseName(content)}`);
  const services: Children<void, PortService> = {
    names: () => [...all()].map(({ name }) => name),
    find: (_, name) => find(name),
  };
  const bound: Children<string, PortService> = {
    names: (driver) => [...all()].filter((row) => row.driver === driver).map(({ name }) => name),
    find: (driver, name) => {
      const service = find(name);
      return service?.driver === driver ? service : undefined;
    },
  };
  const driver = new DirectoryClass<string>([
    text('bind', {
      store(name, content) {
        const service = known(content);
        if (service.driver !== name) refuse('ENODEV', `${service.name} does not match ${name}`);
        refuse('EBUSY', `${service.name} is bound to ${name}`);
      },
    }),
    text('unbind', {
      store(name, content) {
        if (known(content).driver !== name) refuse('ENODEV', `not bound to ${name}`);
        refuse('EOPNOTSUPP', `${name} does not let go of its services here`);
      },
    }),
    plainUevent(),
    links(bound, paths.service),
  ]);
  const drivers: Children<void, string> = {
    names: () => serviceDrivers,
    find: (_, name) => (serviceDrivers.includes(name) ? name : undefined),
  };
  return subdirectory('pci_express', [
    subdirectory('devices', [links(services, paths.service)]),
    subdirectory('drivers', [directories(drivers, driver)]),
    text('drivers_autoprobe', {
      show: () => Number(autoprobe),
      store(_, content) {
        autoprobe = content[0] !== '0';
      },
    }),
    text('drivers_probe', { store: (_, content) => void known(content) }),
    plainUevent(),
  ]);
}
