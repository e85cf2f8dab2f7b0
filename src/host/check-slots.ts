/** Physical slots: where there can be one, and that the functions of a device say the same of theirs. */
import type { FunctionDescription, HostDescription } from './description.js';
import type { Report } from './problem.js';

const largestNumber = 0x1fff;

export function checkSlots({ functions }: HostDescription, report: Report): void {
  const numbers = new Map<string, { readonly bdf: string; readonly slot: number }>();
  functions.forEach((row, i) => {
    checkPort(row, (path, message) => report(['functions', i, ...path], message));
    const { bdf, slot } = row;
    if (slot === undefined) return;
    if (!Number.isSafeInteger(slot) || slot < 0)
      report(['functions', i, 'slot'], `${slot}: expected a slot number`);
    const device = bdf.slice(0, -2);
    const other = numbers.get(device);
    if (other && other.slot !== slot)
      report(
        ['functions', i, 'slot'],
        `${slot}: expected ${other.slot}, the slot of ${other.bdf}, or nothing`,
      );
    else numbers.set(device, { bdf, slot });
  });
}

function checkPort({ bridge }: FunctionDescription, report: Report): void {
  if (!bridge) return;
  const { kind, slot, hotplug = false } = bridge;
  if (kind !== 'root-port' && kind !== 'downstream-port') {
    if (slot !== undefined) report(['bridge', 'slot'], `a ${kind} has no slot`);
    if (hotplug !== false) report(['bridge', 'hotplug'], `a ${kind} has no slot`);
  }
  if (slot !== undefined && !(Number.isInteger(slot) && slot >= 0 && slot <= largestNumber))
    report(['bridge', 'slot'], `${slot}: expected 0 to ${largestNumber}`);
}
