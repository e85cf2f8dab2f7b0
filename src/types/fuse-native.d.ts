/** The part of fuse-native 2.2.6 that vfiofs uses; the package ships no types. */
declare module 'fuse-native' {
  namespace Fuse {
    /** `result` is 0 or a byte count; a negative errno is a refusal. */
    type Done<Value = undefined> = (result: number, value?: Value) => void;

    interface Stat {
      mode: number;
      size: number;
      nlink: number;
      uid: number;
      gid: number;
      ino: number;
      atime: Date;
      mtime: Date;
      ctime: Date;
    }

    interface StatFs {
      bsize: number;
      frsize: number;
      namemax: number;
    }

    /** A missing operation is ENOSYS (libfuse's own answer). Paths start with `/`, relative to the mount point. */
    interface Operations {
      getattr(path: string, done: Done<Stat>): void;
      readdir(path: string, done: Done<string[]>): void;
      readlink(path: string, done: Done<string>): void;
      open(path: string, flags: number, done: Done<number>): void;
      /** `buffer` is libfuse's own memory, valid until `done`. */
      read(path: string, handle: number, buffer: Buffer, length: number, position: number, done: Done): void;
      write(path: string, handle: number, buffer: Buffer, length: number, position: number, done: Done): void;
      release(path: string, handle: number, done: Done): void;
      truncate(path: string, size: number, done: Done): void;
      ftruncate(path: string, handle: number, size: number, done: Done): void;
      chmod(path: string, mode: number, done: Done): void;
      chown(path: string, uid: number, gid: number, done: Done): void;
      utimens(path: string, atime: number, mtime: number, done: Done): void;
      statfs(path: string, done: Done<StatFs>): void;
      create(path: string, mode: number, done: Done<number>): void;
      mknod(path: string, mode: number, device: number, done: Done): void;
      mkdir(path: string, mode: number, done: Done): void;
      unlink(path: string, done: Done): void;
      rmdir(path: string, done: Done): void;
      rename(from: string, to: string, done: Done): void;
      link(from: string, to: string, done: Done): void;
      symlink(from: string, to: string, done: Done): void;
    }

    interface Options {
      /** Milliseconds after which fuse-native answers ETIMEDOUT by itself; false: never. */
      timeout: number | false;
      /** Detaches a dead mount (ENOTCONN) first. */
      force: boolean;
      /** The following become mount options verbatim: `key=value`, joined by commas. */
      fsname: string;
      entryTimeout: string;
      attrTimeout: string;
    }
  }

  class Fuse {
    constructor(mountPoint: string, operations: Partial<Fuse.Operations>, options: Partial<Fuse.Options>);
    mount(done: (error: Error | null) => void): void;
    /** Runs the static unmount() and lets go of the event loop; keeps hold of it when that fails. */
    unmount(done: (error: Error | null) => void): void;
    /** As shipped: `fusermount -uz` (Linux) or `diskutil unmount force` (macOS) through a shell. */
    static unmount(mountPoint: string, done: (error: Error | null) => void): void;
  }

  export = Fuse;
}
