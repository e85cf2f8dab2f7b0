/**
 * What a change of the model makes untrue of what a client's kernel may have cached. Entries that are `volatile` and link counts that are
 * not `steadyCount` are never cached; for the rest this table is the promise: every way in which one changes is a row here.
 */
import type { HostChange } from '../host/events.js';
import type { Stale } from '../vfs/node.js';
import { paths } from './paths.js';

function entry(path: string): Stale {
  const at = path.lastIndexOf('/');
  return { what: 'entry', path: `/${path.slice(0, at)}`, name: path.slice(at + 1) };
}

const count = (path: string): Stale => ({ what: 'count', path: `/${path}` });

export function staleBy(change: HostChange): Stale[] {
  switch (change.kind) {
    case 'function-added':
      return [count(paths.functionParent(change.function))];
    case 'function-removed':
      return [
        entry(paths.function(change.function)),
        entry(`${paths.pciSubsystem}/devices/${change.function.bdf}`),
        count(paths.functionParent(change.function)),
      ];
    case 'group-added':
      return [count(paths.groups)];
    case 'group-removed':
      return [entry(paths.group(change.group)), count(paths.groups)];
    case 'driver-unbound':
      return [
        entry(`${paths.function(change.function)}/driver`),
        entry(`${paths.function(change.function)}/vfio-dev`),
      ];
    // vfio-dev/ and msi_irqs/ come and go.
    case 'vfio-changed':
    case 'messages-changed':
      return [count(paths.function(change.function))];
    default:
      return [];
  }
}
