/** The auxiliary bus, and what a function has that makes devices of it: `auxiliary/` is ours, in place of devlink, which is netlink. */

import { refuse } from '../../abi/errno.js';
import type { Auxiliary } from '../../host/auxiliary.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Model } from '../context.js';
import { type Entry, subdirectory, text } from '../kit/directory.js';
import { parseNumber } from '../kit/parse.js';
import { emulatedBelow, emulatedBus, emulatedDirectory } from './emulated.js';

/** auxiliary_uevent(). */
export const modalias = ({ name }: { readonly name: string }): string =>
  `MODALIAS=auxiliary:${name.slice(0, name.lastIndexOf('.'))}`;

export function auxiliaryBus(model: Model): Entry<void>[] {
  const { auxiliaries } = model.host;
  if (auxiliaries.makers.size === 0) return [];
  return [
    emulatedBus<Auxiliary>(model, {
      name: 'auxiliary',
      devices: auxiliaries.devices,
      drivers: new Map([...auxiliaries.makers.values()].map(({ driver, module }) => [driver, module])),
      get autoprobe() {
        return auxiliaries.autoprobe;
      },
      set autoprobe(on) {
        auxiliaries.autoprobe = on;
      },
      bind: (driver, device) => auxiliaries.bind(driver, device),
      unbind: (driver, device) => auxiliaries.unbind(driver, device),
      probe: (device) => auxiliaries.probe(device),
    }),
  ];
}

/** What a parent has below its own directory. */
export function auxiliaryFunctions(model: Model): Entry<PciFunction>[] {
  const { auxiliaries } = model.host;
  const sfnum = (content: string): number => Number(parseNumber(content, 32));
  const device = emulatedDirectory<Auxiliary>(
    model,
    'auxiliary',
    auxiliaries.devices,
    [text('sfnum', { show: (one) => one.sfnum })],
    (one) => [modalias(one)],
  );
  return [
    subdirectory<PciFunction>(
      'auxiliary',
      [
        text('available', { show: (fn) => auxiliaries.parents.get(fn)!.available }),
        text('add', { store: (fn, content) => void auxiliaries.add(fn, sfnum(content)) }),
        text('remove', {
          store(fn, content) {
            const wanted = sfnum(content);
            const found = [...auxiliaries.devices.values()].find(
              (one) => one.parent.fn === fn && one.sfnum === wanted,
            );
            return auxiliaries.remove(found ?? refuse('ENODEV', `${fn.bdf} has no function ${wanted}`));
          },
        }),
      ],
      { when: (fn) => auxiliaries.parents.has(fn), volatile: true },
    ),
    emulatedBelow(auxiliaries.devices, device),
  ];
}
