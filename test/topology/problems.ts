/** What is wrong with a topology, as it is told. */
import type { ModelLookup } from '../../src/host/models.js';
import { parseTopology, TopologyError } from '../../src/topology/index.js';

/** Line by line, of a file `my.yaml` with this text. */
export function problemsOf(text: string, models?: ModelLookup): string[] {
  try {
    parseTopology(text, 'my.yaml', models);
    return [];
  } catch (error) {
    if (error instanceof TopologyError) return error.message.split('\n');
    throw error;
  }
}

/** A topology of these functions, each on a line of its own; the first is on line 2. */
export const functions = (...rows: string[]) => `functions:\n${rows.map((row) => `  - ${row}\n`).join('')}`;
