import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Whether a shell would find program `name`. */
export function onPath(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
