/**
 * What a change of the model makes untrue of what a client's kernel may have cached. Entries that are `volatile` and link counts that are
 * not `steadyCount` are never cached, nor is that a name is not there, but where a directory `lacks` it; for the rest this table is the
 * promise: every way in which one changes is a row here. Listings are looked at whenever a directory is opened.
 */
import type { HostChange } from '../host/events.js';
import type { PciFunction } from '../host/pci-function.js';
import { type PortService, portServices } from '../host/port-services.js';
import type { Stale } from '../vfs/node.js';
import { paths } from './paths.js';

function entry(path: string): Stale {
  const at = path.lastIndexOf('/');
  return { what: 'entry', path: `/${path.slice(0, at)}`, name: path.slice(at + 1) };
}

const names = (path: string): Stale => ({ what: 'names', path: `/${path}` });
const files = (path: string): Stale => ({ what: 'files', path: `/${path}` });
const count = (path: string): Stale => ({ what: 'attributes', path: `/${path}` });

/** Services that come and go with the driver of their port. */
function services({ function: fn, driver }: { function: PciFunction; driver: string }): PortService[] {
  return fn.isBridge && driver === 'pcieport' ? portServices(fn) : [];
}

export function staleBy(change: HostChange): Stale[] {
  return [...entriesBy(change), ...listingsBy(change)];
}

/** Directories whose names may be others: who opens one is told anyway, so this is for those who hold one open and read it again. */
function listingsBy(change: HostChange): Stale[] {
  if (change.kind === 'bar-lent') return [];
  if (change.kind === 'group-added' || change.kind === 'group-removed') return [names(paths.groups)];
  if (!('function' in change)) return [];
  const { function: fn } = change;
  const own = names(paths.function(fn));
  switch (change.kind) {
    case 'driver-bound':
    case 'driver-unbound':
      return [own, names(paths.driver(change.driver))];
    case 'function-added':
    case 'function-removed':
      return [
        names(paths.functionParent(fn)),
        names(`${paths.pciSubsystem}/devices`),
        ...(fn.iommuGroup ? [names(`${paths.group(fn.iommuGroup)}/devices`)] : []),
      ];
    default:
      return [own];
  }
}

function entriesBy(change: HostChange): Stale[] {
  switch (change.kind) {
    case 'function-added':
      return [count(paths.functionParent(change.function))];
    case 'function-removed':
      return [
        entry(paths.function(change.function)),
        entry(`${paths.pciSubsystem}/devices/${change.function.bdf}`),
        count(paths.functionParent(change.function)),
      ];
    case 'function-reshaped':
      return [
        ...['', '/link', '/aer'].map((group) => files(`${paths.function(change.function)}${group}`)),
        count(paths.function(change.function)),
      ];
    case 'group-added':
      return [count(paths.groups)];
    case 'group-removed':
      return [entry(paths.group(change.group)), count(paths.groups)];
    case 'emulated-changed':
      return [
        count(paths.function(change.function.mediatedBy ?? change.function)),
        count(paths.function(change.function)),
      ];
    case 'emulated-removed':
      return [entry(paths.function(change.function)), count(paths.functionParent(change.function))];
    case 'service-unbound':
      return [entry(`${paths.service(change.service)}/driver`)];
    case 'slot-removed':
      return [entry(paths.slot(change.name))];
    case 'driver-bound':
      return [
        entry(`${paths.function(change.function)}/driver`),
        ...(services(change).length > 0 ? [count(paths.function(change.function))] : []),
      ];
    case 'driver-unbound': {
      const gone = services(change).map((service) => entry(paths.service(service)));
      return [
        entry(`${paths.function(change.function)}/driver`),
        entry(`${paths.function(change.function)}/vfio-dev`),
        ...(gone.length > 0 ? [...gone, count(paths.function(change.function))] : []),
      ];
    }
    // vfio-dev/, msi_irqs/ and directories of extra attributes come and go.
    case 'attributes-changed':
    case 'vfio-changed':
    case 'messages-changed':
      return [count(paths.function(change.function))];
    default:
      return [];
  }
}
