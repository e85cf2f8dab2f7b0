/**
 * One table row per ioctl: number, name, handler. The row feeds dispatch, the trace and the docs.
 * What a file answers to numbers it has no row for (ENOTTY, EINVAL …) is the table's `unknown`.
 */
import { type ErrnoName, KernelError } from '../abi/errno.js';
import type { Fields, Struct } from '../abi/struct.js';
import type { Caller, MaybeAsync } from './caller.js';
import type { NewDescriptor } from './node.js';

export interface IoctlCall {
  readonly argument: bigint;
  readonly caller: Caller;
}

/** How the third argument of an ioctl reads: a struct behind a pointer, or the value itself. For the trace. */
export type ArgumentShape =
  | { readonly struct: Struct<Fields> }
  | 'integer'
  | 'none'
  | 'string'
  | 's32-pointer';

export interface IoctlRow<File> {
  readonly number: number;
  /** As in the header: VFIO_GROUP_GET_STATUS. */
  readonly name: string;
  readonly argument?: ArgumentShape;
  handle(file: File, call: IoctlCall): MaybeAsync<number | NewDescriptor>;
}

export class IoctlTable<File> {
  private readonly rows = new Map<number, IoctlRow<File>>();
  constructor(
    rows: readonly IoctlRow<File>[],
    private readonly unknown: ErrnoName,
  ) {
    for (const row of rows) {
      if (this.rows.has(row.number)) throw new Error(`two rows for ioctl 0x${row.number.toString(16)}`);
      this.rows.set(row.number, row);
    }
  }

  get(number: number): IoctlRow<File> | undefined {
    return this.rows.get(number);
  }

  [Symbol.iterator](): Iterator<IoctlRow<File>> {
    return this.rows.values();
  }

  /** Runs the row of `command`; throws `unknown` when there is none. */
  run(file: File, command: number, argument: bigint, caller: Caller): MaybeAsync<number | NewDescriptor> {
    const row = this.rows.get(command);
    if (!row)
      throw new KernelError(this.unknown, `ioctl 0x${command.toString(16)} has no meaning on this file`);
    return row.handle(file, { argument, caller });
  }
}
