/** One function as a topology file describes it, given as data: for machines that run already. */
import { models as registry } from '../devices/index.js';
import { DescriptionRefused } from '../host/addition.js';
import type { FunctionDescription } from '../host/description.js';
import type { Host } from '../host/host.js';
import { findModel, type ModelLookup } from '../host/models.js';
import type { PciFunction } from '../host/pci-function.js';
import { snakePath, toFunctionDescription } from './convert.js';
import { type RegisterProblem, readRegisters } from './register-files.js';
import { topologySchema } from './schema.js';
import { schemaProblems } from './schema-problems.js';

/** Host.add() of a function given so: problems stand at the file's keys. */
export function addFunction(host: Host, data: object): PciFunction {
  const description = readFunction(data);
  try {
    return host.add(description);
  } catch (error) {
    if (!(error instanceof DescriptionRefused)) throw error;
    throw new DescriptionRefused(
      error.problems.map(({ path, message }) => ({ path: snakePath(path), message })),
    );
  }
}

/** Throws DescriptionRefused with everything that the schema and the model's options have against it. */
export function readFunction(data: object, models: ModelLookup = registry): FunctionDescription {
  // As one of a topology, whose schema is compiled and has the definitions.
  const misshapen = schemaProblems(topologySchema, { functions: [data] }).map(({ path, ...rest }) => ({
    path: path.slice(2),
    ...rest,
  }));
  if (misshapen.length > 0) throw new DescriptionRefused(misshapen);
  const registers: RegisterProblem[] = [];
  readRegisters(data as Record<string, unknown>, undefined, registers);
  if (registers.length > 0) throw new DescriptionRefused(registers);
  const description = toFunctionDescription(data as Record<string, unknown>);
  const model = findModel(models, description.model);
  const wrong = model ? schemaProblems(model.optionsSchema, description.options ?? {}) : [];
  if (wrong.length > 0)
    throw new DescriptionRefused(wrong.map(({ path, message }) => ({ path: ['options', ...path], message })));
  return description;
}
