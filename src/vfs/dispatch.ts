/**
 * The one dispatch: every operation of every transport on a node or open file passes here. It turns refusals into errnos, everything
 * else thrown into EIO (loudly), and tells the observers (trace, faults) what was asked and what came of it.
 */
import { type Errno, errnoName, KernelError } from '../abi/errno.js';
import type { Caller, MaybeAsync } from './caller.js';
import {
  type DirectoryNode,
  type FileNode,
  NewDescriptor,
  type OpenFile,
  type OpenRequest,
  type SymlinkNode,
  type VfsNode,
} from './node.js';

export type Operation =
  | { readonly op: 'lookup'; readonly path: string; readonly node: DirectoryNode; readonly name: string }
  | { readonly op: 'readdir'; readonly path: string; readonly node: DirectoryNode }
  | { readonly op: 'readlink'; readonly path: string; readonly node: SymlinkNode }
  | { readonly op: 'open'; readonly path: string; readonly node: FileNode; readonly request: OpenRequest }
  | {
      readonly op: 'read';
      readonly path: string;
      readonly file: OpenFile;
      readonly offset: bigint;
      readonly length: number;
    }
  | {
      readonly op: 'write';
      readonly path: string;
      readonly file: OpenFile;
      readonly offset: bigint;
      readonly data: Buffer;
    }
  | {
      readonly op: 'ioctl';
      readonly path: string;
      readonly file: OpenFile;
      readonly command: number;
      readonly argument: bigint;
    }
  | { readonly op: 'refused'; readonly path: string; readonly what: string };

/** What an operation came to: a value, or an errno with its reason. */
export interface Outcome {
  readonly errno: number;
  readonly reason?: string;
  readonly value?: unknown;
}

export interface Observer {
  /** Called before the operation runs; the returned function, if any, with its outcome. */
  begin(operation: Operation, caller: Caller | undefined): ((outcome: Outcome) => void) | undefined;
  /** Something thrown that was not a refusal: a bug of ours, answered EIO. */
  bug(operation: Operation, error: unknown): void;
}

/** What observers throw away: prints bugs on stderr, so that they are never silent. */
export const loudObserver: Observer = {
  begin: () => undefined,
  bug: (operation, error) =>
    console.error(`vfiofs: internal error in ${operation.op} ${operation.path}:`, error),
};

export class Dispatcher {
  constructor(private readonly observers: readonly Observer[] = [loudObserver]) {}

  /** Somebody wants to be told of every operation: a transport must not answer any by itself. */
  get isWatched(): boolean {
    return this.observers.some((observer) => observer !== loudObserver);
  }

  lookup(path: string, node: DirectoryNode, name: string): VfsNode {
    return this.now({ op: 'lookup', path, node, name }, undefined, () => {
      const child = node.lookup(name);
      if (!child) throw new KernelError('ENOENT', `no ${name} in ${path}`);
      return child;
    });
  }

  names(path: string, node: DirectoryNode): string[] {
    return this.now({ op: 'readdir', path, node }, undefined, () => [...node.names()]);
  }

  readlink(path: string, node: SymlinkNode): string {
    return this.now({ op: 'readlink', path, node }, undefined, () => node.target());
  }

  open(path: string, node: FileNode, request: OpenRequest, caller: Caller): MaybeAsync<OpenFile> {
    return this.run({ op: 'open', path, node, request }, caller, () => node.open(request, caller));
  }

  read(path: string, file: OpenFile, offset: bigint, length: number, caller: Caller): MaybeAsync<Uint8Array> {
    return this.run({ op: 'read', path, file, offset, length }, caller, () => {
      if (!file.read) throw new KernelError('EINVAL', 'this file has no read');
      return file.read(offset, length, caller);
    });
  }

  write(path: string, file: OpenFile, offset: bigint, data: Buffer, caller: Caller): MaybeAsync<number> {
    return this.run({ op: 'write', path, file, offset, data }, caller, () => {
      if (!file.write) throw new KernelError('EINVAL', 'this file has no write');
      return file.write(offset, data, caller);
    });
  }

  ioctl(
    path: string,
    file: OpenFile,
    command: number,
    argument: bigint,
    caller: Caller,
  ): MaybeAsync<number | NewDescriptor> {
    return this.run({ op: 'ioctl', path, file, command, argument }, caller, () => {
      if (!file.ioctl) throw new KernelError('ENOTTY', 'this file has no ioctl');
      return file.ioctl(command, argument, caller);
    });
  }

  /** Records a refusal that a transport gives by itself. */
  refuse(path: string, what: string, code: keyof typeof Errno, reason: string, caller?: Caller): never {
    return this.now({ op: 'refused', path, what }, caller, () => {
      throw new KernelError(code, reason);
    });
  }

  private now<T>(operation: Operation, caller: Caller | undefined, body: () => T): T {
    const ends = this.begin(operation, caller);
    try {
      const value = body();
      if (ends) for (const end of ends) end({ errno: 0, value });
      return value;
    } catch (error) {
      throw this.failed(operation, error, ends);
    }
  }

  private run<T>(operation: Operation, caller: Caller, body: () => MaybeAsync<T>): MaybeAsync<T> {
    const ends = this.begin(operation, caller);
    let value: MaybeAsync<T>;
    try {
      value = body();
    } catch (error) {
      throw this.failed(operation, error, ends);
    }
    if (value instanceof Promise) {
      return value.then(
        (result) => {
          if (ends) for (const end of ends) end({ errno: 0, value: result });
          return result;
        },
        (error) => {
          throw this.failed(operation, error, ends);
        },
      );
    }
    if (ends) for (const end of ends) end({ errno: 0, value });
    return value;
  }

  private begin(
    operation: Operation,
    caller: Caller | undefined,
  ): ((outcome: Outcome) => void)[] | undefined {
    let ends: ((outcome: Outcome) => void)[] | undefined;
    for (const observer of this.observers) {
      const end = observer.begin(operation, caller);
      if (end) {
        ends ??= [];
        ends.push(end);
      }
    }
    return ends;
  }

  private failed(
    operation: Operation,
    error: unknown,
    ends: ((outcome: Outcome) => void)[] | undefined,
  ): KernelError {
    let refusal: KernelError;
    if (error instanceof KernelError) refusal = error;
    else {
      for (const observer of this.observers) observer.bug(operation, error);
      refusal = new KernelError('EIO', 'internal error', { cause: error });
    }
    if (ends) for (const end of ends) end({ errno: refusal.errno, reason: refusal.reason });
    return refusal;
  }
}

/** `0`, `fd`, or `EINVAL (why)`: how an outcome reads in a log. */
export function printOutcome(outcome: Outcome): string {
  if (outcome.errno) return `${errnoName(outcome.errno)}${outcome.reason ? ` (${outcome.reason})` : ''}`;
  const { value } = outcome;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof NewDescriptor) return 'new descriptor';
  return 'ok';
}
