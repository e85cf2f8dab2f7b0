/** How the third argument of an ioctl reads in a trace line: the struct behind the pointer where it can be had at once. */
import type { Fields, Struct } from '../abi/struct.js';
import type { Caller } from '../vfs/caller.js';
import type { ArgumentShape } from '../vfs/ioctl.js';

export type Decoded = Readonly<Record<string, unknown>>;

export function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** First bytes of a buffer, as hex with the rest counted: `de ad be ef … 4092 more`. */
export function hexBytes(data: Uint8Array, most = 16): string {
  const shown = Buffer.from(data.buffer, data.byteOffset, Math.min(data.length, most)).toString('hex');
  const text = (shown.match(/../g) ?? []).join(' ');
  return data.length > most ? `${text} … ${data.length - most} more` : text;
}

function field(name: string, value: unknown): string {
  if (value instanceof Uint8Array) return hexBytes(value);
  if (typeof value === 'bigint') return hex(value);
  // Sizes and counts read better in decimal, flags and everything unsigned and big in hex.
  if (typeof value === 'number')
    return /flags|mask|caps/i.test(name) || value > 0xffff ? hex(value) : String(value);
  return String(value);
}

/** `{argsz: 16, flags: 0x1}`. */
export function printFields(fields: Decoded): string {
  return `{${Object.entries(fields)
    .map(([name, value]) => `${name}: ${field(name, value)}`)
    .join(', ')}}`;
}

/** The fields of `after` that differ from `before`: what the ioctl wrote back. */
export function changed(before: Decoded, after: Decoded): Decoded {
  return Object.fromEntries(
    Object.entries(after).filter(
      ([name, value]) => name in before && field(name, before[name]) !== field(name, value),
    ),
  );
}

/**
 * Bytes of the waiting caller, or undefined when they are not resident or not there: a trace must neither wait nor fail, the
 * handler meets the same address and says what is wrong with it.
 */
function peek(caller: Caller, address: bigint, length: number): Buffer | undefined {
  try {
    const bytes = caller.memory.read(address, length);
    if (Buffer.isBuffer(bytes)) return bytes;
    bytes.catch(() => undefined);
  } catch {
    return undefined;
  }
  return undefined;
}

/** The struct at `address`, as far as the caller says that it has one (argsz of VFIO, size of iommufd); or undefined (see peek). */
export function peekStruct(caller: Caller, shape: Struct<Fields>, address: bigint): Decoded | undefined {
  const bytes = peek(caller, address, shape.size);
  if (!bytes) return undefined;
  const [first] = Object.keys(shape.fields);
  const length = first === 'argsz' || first === 'size' ? bytes.readUInt32LE() : shape.size;
  return Object.fromEntries(
    Object.entries(shape.decode(bytes)).filter(([name]) => name === first || shape.offsets[name]! < length),
  );
}

/** A C string of at most 64 bytes that does not cross a page, so that a short one at the end of a mapping is still read. */
function peekString(caller: Caller, address: bigint): string | undefined {
  const bytes = peek(caller, address, Math.min(64, 4096 - Number(address & 4095n)));
  if (!bytes) return undefined;
  const end = bytes.indexOf(0);
  return JSON.stringify(bytes.toString('latin1', 0, end < 0 ? bytes.length : end)) + (end < 0 ? '…' : '');
}

/** An argument that is no struct, or a struct that can't be read: `5`, `"0000:00:04.0"`, `*0x7ffe… = -1`, `0x7ffe…`. */
export function printScalar(caller: Caller, shape: ArgumentShape | undefined, argument: bigint): string {
  if (shape === 'none') return '';
  if (shape === 'integer') return BigInt.asIntN(64, argument).toString();
  if (shape === 'string') return peekString(caller, argument) ?? hex(argument);
  if (shape === 's32-pointer') {
    const value = peek(caller, argument, 4);
    return value ? `*${hex(argument)} = ${value.readInt32LE()}` : hex(argument);
  }
  return hex(argument);
}
