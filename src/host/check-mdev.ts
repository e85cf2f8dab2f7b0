/** `mdev` of a driver: types that can be told apart, and made. */
import { mdevNames } from './attribute-names.js';
import { checkAttributes } from './check-attributes.js';
import type { MdevDescription } from './description.js';
import { findModel, type ModelLookup } from './models.js';
import type { Report } from './problem.js';
import { didYouMean, list } from './suggest.js';

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
    if (deviceApi !== 'vfio-pci') return;
    const names = [...models.names()];
    const definition = findModel(models, model);
    if (!definition) {
      const given = model === undefined ? 'missing' : `unknown model "${model}"${didYouMean(model, names)}`;
      report(['types', i, 'model'], `${given}; expected one of ${list(names)}`);
      return;
    }
    try {
      definition.shape({ ...options });
    } catch (error) {
      report(['types', i, 'options'], (error as Error).message);
    }
  });
}
