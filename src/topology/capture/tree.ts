/** A sysfs to read from: the real one, or any tree of its shape. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

export class SysfsTree {
  /** `root` is what stands for /sys. */
  constructor(readonly root: string) {}

  /** Sorted; empty for a directory that is not there. */
  list(path: string): string[] {
    const directory = join(this.root, path);
    return existsSync(directory) ? readdirSync(directory).sort() : [];
  }

  has(path: string): boolean {
    return existsSync(join(this.root, path));
  }

  /** Contents without the newline at their end; undefined where there is no such file, or nothing to be had from it. */
  text(path: string): string | undefined {
    return this.bytes(path)?.toString('latin1').trimEnd();
  }

  bytes(path: string): Buffer | undefined {
    try {
      return readFileSync(join(this.root, path));
    } catch (error) {
      // Files that are not there on this kernel, or for this device, or not for this user.
      if (/^(ENOENT|EACCES|EPERM|EIO|ENODEV|EINVAL)$/.test(String((error as NodeJS.ErrnoException).code)))
        return undefined;
      throw error;
    }
  }

  /** The name of what a link points at. */
  linked(path: string): string | undefined {
    try {
      return basename(readlinkSync(join(this.root, path)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
