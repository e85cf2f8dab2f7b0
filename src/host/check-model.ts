/** A device model that a description names where there must be one. */
import { findModel, type ModelLookup } from './models.js';
import type { Report } from './problem.js';
import { didYouMean, list } from './suggest.js';

/** It must be there, and take the options. */
export function checkModel(
  { model, options = {} }: { readonly model: string | undefined; readonly options?: object },
  models: ModelLookup,
  report: Report,
): void {
  const names = [...models.names()];
  const definition = findModel(models, model);
  if (!definition) {
    const given = model === undefined ? 'missing' : `unknown model "${model}"${didYouMean(model, names)}`;
    report(['model'], `${given}; expected one of ${list(names)}`);
    return;
  }
  try {
    definition.shape({ ...options });
  } catch (error) {
    report(['options'], (error as Error).message);
  }
}
