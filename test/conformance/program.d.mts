/** What a client program does with the tree, over any `fs`: the mounted one (in a process of its own) or memfs's. */
export interface Program {
  stat(path: string): Promise<StatResult>;
  lstat(path: string): Promise<StatResult>;
  readdir(path: string): Promise<string[]>;
  kinds(path: string): Promise<string[]>;
  readlink(path: string): Promise<string>;
  realpath(path: string): Promise<string>;
  /** The content, one byte per character. */
  readFile(path: string): Promise<string>;
  stream(path: string): Promise<string>;
  /** As `echo -n text > path`: O_WRONLY | O_CREAT | O_TRUNC. */
  writeFile(path: string, text: string): Promise<void>;
  append(path: string, text: string): Promise<void>;
  truncate(path: string, size: number): Promise<void>;
  open(path: string, flags: string): Promise<number>;
  /** At `position`, or at the file's own position when null. */
  read(handle: number, length: number, position: number | null): Promise<string>;
  write(handle: number, text: string, position: number | null): Promise<number>;
  fstat(handle: number): Promise<StatResult>;
  close(handle: number): Promise<void>;
  mkdir(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
}

export interface StatResult {
  kind: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits. */
  mode: number;
  size: number;
  nlink: number;
  ino: number;
  uid: number;
  gid: number;
}

/** `root` is put before every path. Failures are errors with `code`. */
export function program(fs: object, root: string): Program;
