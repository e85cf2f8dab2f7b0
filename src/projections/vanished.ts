/**
 * Names that go from the tree with a change of the model. They are never cached by themselves, but what is below them is, for as long as
 * the directory lives: a process that stands inside one has no other way to find out.
 */
import type { HostChange } from '../host/events.js';
import { paths } from './paths.js';

/** A directory that is no longer there: `name` in the directory `path`, both from the root of the tree. */
export interface Vanished {
  readonly path: string;
  readonly name: string;
}

function split(path: string): Vanished {
  const at = path.lastIndexOf('/');
  return { path: `/${path.slice(0, at)}`, name: path.slice(at + 1) };
}

export function vanishedBy(change: HostChange): Vanished | undefined {
  switch (change.kind) {
    case 'function-removed':
      return split(paths.function(change.function));
    case 'group-removed':
      return split(paths.group(change.group));
    case 'slot-removed':
      return split(paths.slot(change.name));
    case 'driver-unbound':
      return split(`${paths.function(change.function)}/vfio-dev`);
    default:
      return undefined;
  }
}
