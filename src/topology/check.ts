/** Everything that can be wrong with a HostDescription: host/check.ts, and the options that models define themselves. */
import { models as registry } from '../devices/index.js';
import { problemsOfEach } from '../host/alike.js';
import { checkDescription } from '../host/check.js';
import type { FunctionDescription, HostDescription } from '../host/description.js';
import { findModel, type ModelLookup } from '../host/models.js';
import { formatProblem, type Problem } from '../host/problem.js';
import { schemaProblems } from './schema-problems.js';

/** A problem whose place is the key itself. */
export interface PlacedProblem extends Problem {
  readonly inKey?: boolean;
}

type Path = (string | number)[];
/** A function, or its VFs. */
type WithOptions = Pick<FunctionDescription, 'model' | 'options' | 'profiles'>;

export function checkTopology(description: HostDescription, models: ModelLookup = registry): PlacedProblem[] {
  const options = problemsOfEach(description.functions, (row, i): PlacedProblem[] => {
    const judgedAll = (
      { model: name, options, profiles = [] }: WithOptions,
      ...place: Path
    ): PlacedProblem[] => {
      const model = findModel(models, name);
      if (!model) return [];
      const judged = (given: object | undefined, ...below: Path) =>
        schemaProblems(model.optionsSchema, given ?? {}).map(({ path, ...rest }) => ({
          path: ['functions', i, ...place, ...below, 'options', ...path],
          ...rest,
        }));
      return [
        ...judged(options),
        ...profiles.flatMap(({ options: own }, j) => (own ? judged(own, 'profiles', j) : [])),
      ];
    };
    return [...judgedAll(row), ...(row.sriov ? judgedAll(row.sriov, 'sriov') : [])];
  });
  // What the schema found wrong the model would refuse again, less precisely.
  const wrong = new Set(options.map(({ path }) => path[1]));
  const others = checkDescription(description, models).filter(
    ({ path }) => !(path.includes('options') && wrong.has(path[1]!)),
  );
  return [...others, ...options];
}

/** For descriptions written in TypeScript: throws an Error listing every problem. */
export function assertTopology(description: HostDescription, models: ModelLookup = registry): void {
  const problems = checkTopology(description, models);
  if (problems.length > 0)
    throw new Error(`the description of the host is wrong:\n${problems.map(formatProblem).join('\n')}`);
}
