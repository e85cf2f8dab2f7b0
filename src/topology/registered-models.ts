/** The models that come with vfiofs, as the host looks for them. */
import { models } from '../devices/index.js';
import type { ModelLookup } from '../host/models.js';

export const registeredModels: ModelLookup = {
  get: (name) => (models.has(name) ? models.get(name) : undefined),
  names: () => models.names(),
};
