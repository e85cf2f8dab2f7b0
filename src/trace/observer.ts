/**
 * The trace: one line per operation under DEBUG=vfiofs:*, through the `debug` library.
 *
 *     vfiofs:ioctl dpdk-test[4711] /dev/vfio/5 VFIO_GROUP_GET_STATUS {argsz: 8, flags: 0x0} → {flags: 0x1} = 0
 *     vfiofs:sysfs bash[4712] /sys/bus/pci/drivers/vfio-pci/bind write "0000:00:04.0\n" = ENODEV (no match)
 *
 * Not installed unless a namespace is on, so it costs nothing otherwise.
 */
import createDebug from 'debug';
import type { Caller } from '../vfs/caller.js';
import { loudObserver, type Observer, type Operation, type Outcome, printOutcome } from '../vfs/dispatch.js';
import { changed, type Decoded, hex, hexBytes, peekStruct, printFields, printScalar } from './argument.js';

/**
 * `ioctl`: every ioctl · `device`: reads and writes below /dev (registers, configuration space), messages of device models ·
 * `sysfs`: opens, reads and writes below /sys · `file`: the same elsewhere, and opens below /dev · `lookup`: names, listings, links.
 */
export const namespaces = ['ioctl', 'device', 'sysfs', 'file', 'lookup'] as const;
export type Namespace = (typeof namespaces)[number];

export type Print = (line: string) => void;
export type Printers = Readonly<Partial<Record<Namespace, Print>>>;

/** undefined when DEBUG asks for nothing of ours. */
function enabledPrinters(): Printers | undefined {
  const printers: Partial<Record<Namespace, Print>> = {};
  for (const name of namespaces) {
    const log = createDebug(`vfiofs:${name}`);
    if (log.enabled) printers[name] = (line) => log('%s', line);
  }
  return Object.keys(printers).length ? printers : undefined;
}

export interface TraceOptions {
  readonly observers?: readonly Observer[];
  readonly log?: (bdf: string, message: string) => void;
}

/** What a machine needs to be traced, as DEBUG asks: nothing, and so no cost, unless it names a namespace of ours. */
export function traceOptions(): TraceOptions {
  const printers = enabledPrinters();
  if (!printers) return {};
  const { device } = printers;
  return {
    observers: [traceObserver(printers)],
    ...(device && { log: (bdf: string, message: string) => device(`${bdf} ${message}`) }),
  };
}

function namespaceOf(operation: Operation): Namespace {
  switch (operation.op) {
    case 'ioctl':
      return 'ioctl';
    case 'lookup':
    case 'readdir':
    case 'readlink':
      return 'lookup';
    default:
      if (operation.path.startsWith('/sys/')) return 'sysfs';
      return operation.path.startsWith('/dev/') && (operation.op === 'read' || operation.op === 'write')
        ? 'device'
        : 'file';
  }
}

/** Text where it is text (attributes), hex where it is registers. */
function printData(path: string, data: Uint8Array): string {
  const text = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, 64)).toString('latin1');
  const isText = !path.startsWith('/dev/') && /^[\t\n\x20-\x7e]*\0?$/.test(text);
  return isText ? JSON.stringify(text) + (data.length > 64 ? '…' : '') : hexBytes(data);
}

function access(request: { reads: boolean; writes: boolean }): string {
  return request.reads && request.writes ? 'read-write' : request.writes ? 'write-only' : 'read-only';
}

/** What is known before the operation runs; the argument of an ioctl is printed by `ioctlLine`. */
function asked(operation: Exclude<Operation, { op: 'ioctl' }>): string {
  switch (operation.op) {
    case 'lookup':
      return `lookup ${operation.name}`;
    case 'open':
      return `open ${access(operation.request)}`;
    case 'read':
      return `read ${operation.length} at ${hex(operation.offset)}`;
    case 'write':
      return `write ${printData(operation.path, operation.data)} at ${hex(operation.offset)}`;
    case 'refused':
      return operation.what;
    default:
      return operation.op;
  }
}

function result(operation: Operation, outcome: Outcome): string {
  if (outcome.errno === 0 && operation.op === 'read' && outcome.value instanceof Uint8Array)
    return `${outcome.value.length} ${printData(operation.path, outcome.value)}`.trimEnd();
  if (outcome.errno === 0 && operation.op === 'readdir' && Array.isArray(outcome.value))
    return `${outcome.value.length} names`;
  return printOutcome(outcome);
}

export function traceObserver(printers: Printers): Observer {
  return {
    begin(operation, caller) {
      const print = printers[namespaceOf(operation)];
      if (!print) return undefined;
      const who = caller ? `${caller.describe()} ` : '';
      if (operation.op === 'ioctl')
        return ioctl(operation, caller as Caller, (text) => print(`${who}${text}`));
      const line = `${who}${operation.path} ${asked(operation)}`;
      return (outcome) => print(`${line} = ${result(operation, outcome)}`);
    },
    bug: (operation, error) => loudObserver.bug(operation, error),
  };
}

/** `path [file] NAME argument → what came back = result`. The caller waits until the outcome, so its memory can be read again. */
function ioctl(
  operation: Extract<Operation, { op: 'ioctl' }>,
  caller: Caller,
  print: Print,
): (outcome: Outcome) => void {
  const { path, file, command, argument } = operation;
  const row = file.ioctlRow?.(command);
  const shape = row?.argument;
  const struct = typeof shape === 'object' ? shape.struct : undefined;
  const before = struct && peekStruct(caller, struct, argument);
  const what = file.describe?.();
  const head = [path, what && `[${what}]`, row?.name ?? `ioctl ${hex(command)}`].filter(Boolean).join(' ');
  const given = before ? printFields(before) : printScalar(caller, struct ? undefined : shape, argument);
  return (outcome) => {
    const after: Decoded | undefined = struct && before && peekStruct(caller, struct, argument);
    const difference = before && after ? changed(before, after) : {};
    const back = Object.keys(difference).length ? ` → ${printFields(difference)}` : '';
    print(`${head}${given && ` ${given}`}${back} = ${printOutcome(outcome)}`);
  };
}
