/** `mdev` and `auxiliary` of a driver: types that can be told apart, and made. */
import { mdevNames } from './attribute-names.js';
import { checkAttributes } from './check-attributes.js';
import { checkModel } from './check-model.js';
import type { AuxiliaryDescription, MdevDescription } from './description.js';
import type { ModelLookup } from './models.js';
import type { Report } from './problem.js';

export function checkMdev(mdev: MdevDescription | undefined, models: ModelLookup, report: Report): void {
  if (!mdev) return;
  const seen = new Set<string>();
  mdev.types.forEach(({ name, deviceApi = 'vfio-pci', model, cost = 1, options = {}, attributes }, i) => {
    const place = { taken: mdevNames, sort: 'mdev' } as const;
    checkAttributes(attributes, place, (path, message) => report(['types', i, ...path], message));
    if (seen.has(name)) report(['types', i, 'name'], `type "${name}" is described twice`);
    seen.add(name);
    if (cost > mdev.capacity)
      report(['types', i, 'cost'], `${cost}: expected at most the capacity of ${mdev.capacity}`);
    if (deviceApi === 'vfio-pci')
      checkModel({ model, options }, models, (path, message) => report(['types', i, ...path], message));
  });
}

export function checkAuxiliary(
  auxiliary: AuxiliaryDescription | undefined,
  models: ModelLookup,
  report: Report,
): void {
  if (!auxiliary) return;
  checkModel(auxiliary, models, report);
  checkAttributes(auxiliary.attributes, { taken: mdevNames, sort: 'mdev' }, report);
}
