/** `reset` and `reset_method` (drivers/pci/pci.c: reset_method_store(), pci_reset_function()). */
import { refuse } from '../../abi/errno.js';
import type { PciFunction } from '../../host/pci-function.js';
import { resetByBus, resetFunction } from '../../vfio/reset.js';
import type { Model } from '../context.js';
import { type Entry, text } from '../kit/directory.js';
import { parseName, parseNumber } from '../kit/parse.js';

/** reset_method_store(): all of the names must be usable, else the old order stays. `default` looks again what is. */
function order(fn: PciFunction, content: string): readonly string[] | undefined {
  const wanted = parseName(content);
  if (wanted === '') return [];
  if (wanted === 'default') {
    fn.probeResets();
    return undefined;
  }
  const usable: readonly string[] = fn.resetMethods;
  const names = wanted.split(' ').filter((name) => name !== '');
  for (const name of names) if (!usable.includes(name)) refuse('EINVAL', `no reset by ${name}`);
  return [...new Set(names)];
}

/** A reset of the secondary bus reaches every function behind the bridge, with or without a reset of its own (pci_reset_bus()). */
function resetBelow(bridge: PciFunction): void {
  for (const fn of bridge.children) {
    resetBelow(fn);
    resetByBus(fn);
  }
}

export function reset({ settings }: Model): Entry<PciFunction>[] {
  const when = (fn: PciFunction) => fn.canReset;
  const enabled = (fn: PciFunction) => settings(fn).resetMethods ?? fn.resetMethods;
  return [
    text('reset_method', {
      when,
      show(fn) {
        const names = enabled(fn);
        return names.length === 0 ? [] : names.join(' ');
      },
      store(fn, content) {
        settings(fn).resetMethods = order(fn, content);
      },
    }),
    text('reset', {
      when,
      store(fn, content) {
        if (parseNumber(content) !== 1n) refuse('EINVAL', 'only 1 resets');
        if (enabled(fn).length === 0 || !resetFunction(fn)) refuse('ENOTTY', `${fn.bdf} has no way to reset`);
      },
    }),
    text('reset_subordinate', {
      when: (fn) => fn.isBridge,
      store(fn, content, caller) {
        if (!caller.capable('SYS_ADMIN')) refuse('EPERM', 'CAP_SYS_ADMIN is needed');
        if (parseNumber(content) !== 0n) resetBelow(fn);
      },
    }),
  ];
}
