/** The parsers that attribute writes use, each once (lib/kstrtox.c, lib/string_helpers.c). */

import { refuse } from '../../abi/errno.js';
import type { KobjectEvent } from '../../host/events.js';

/** What a store() sees of a write: bytes up to the first NUL (sysfs appends one behind the data). */
export function cString(text: string): string {
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

const unsigned = /^\+?(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)\n?$/i;
const signed = /^([+-]?)(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)\n?$/i;

function digits(text: string): bigint {
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`);
  return BigInt(text);
}

/** kstrtoul() and narrower, base 0; `bits` is the type's width. Callers of it turn ERANGE into EINVAL. */
export function parseNumber(text: string, bits: 16 | 32 | 64 = 64): bigint {
  const match = unsigned.exec(cString(text));
  const value = match ? digits(match[1] as string) : undefined;
  if (value === undefined || value >> BigInt(bits))
    return refuse('EINVAL', `not a u${bits}: ${JSON.stringify(text)}`);
  return value;
}

/** kstrtouint() as module parameters use it: what is too large is ERANGE. */
export function parseUint(text: string): number {
  const match = unsigned.exec(cString(text));
  if (!match) return refuse('EINVAL', `not an unsigned int: ${JSON.stringify(text)}`);
  const value = digits(match[1] as string);
  return value >> 32n ? refuse('ERANGE', `${value} is no unsigned int`) : Number(value);
}

/** kstrtoint(), base 0. */
export function parseInteger(text: string): number {
  const match = signed.exec(cString(text));
  const size = match ? digits(match[2] as string) : undefined;
  const value = size === undefined ? undefined : match?.[1] === '-' ? -size : size;
  if (value === undefined || BigInt.asIntN(32, value) !== value)
    return refuse('EINVAL', `not an int: ${JSON.stringify(text)}`);
  return Number(value);
}

/** kstrtobool(): the first character decides, `on` and `off` need two. */
export function parseBool(text: string): boolean {
  const start = cString(text);
  if (/^(?:[yt1e]|on)/i.test(start)) return true;
  if (/^(?:[nf0d]|of)/i.test(start)) return false;
  return refuse('EINVAL', `neither yes nor no: ${JSON.stringify(text)}`);
}

/** What sysfs_streq() compares: one trailing newline does not count. Device names are read so, too (bind, unbind, drivers_probe). */
export function parseName(text: string): string {
  return cString(text).replace(/\n$/, '');
}

const hexDigits = (count: number) => `[0-9a-fA-F]{${count}}`;
const uuid = [8, 4, 4, 4, 12].map(hexDigits).join('-');
const synthetic = new RegExp(
  `^(add|remove|change|move|online|offline|bind|unbind)(?: (${uuid})((?: [0-9A-Za-z]+=[0-9A-Za-z]+)*))?[\\n\\0]?$`,
);

/** kobject_synth_uevent(): the action and its variables; EINVAL for what is none. */
export function parseUevent(text: string): Required<Pick<KobjectEvent, 'action' | 'synthetic'>> {
  const match = synthetic.exec(text) ?? refuse('EINVAL', `not a uevent action: ${JSON.stringify(text)}`);
  const [, action, id = '0', args = ''] = match;
  return {
    action: action as KobjectEvent['action'],
    synthetic: [
      `SYNTH_UUID=${id}`,
      ...args
        .split(' ')
        .filter(Boolean)
        .map((pair) => `SYNTH_ARG_${pair}`),
    ],
  };
}
