/** Programs for Node that load the addon by themselves: for what must not happen in the process that runs the tests. */
import { fileURLToPath } from 'node:url';

export const addon = fileURLToPath(new URL('../../build/Release/vfiofs.node', import.meta.url));

/** Arguments for `node` that run `body` with the addon as `n`. */
export function script(body: string): string[] {
  return ['-e', `const n = require(${JSON.stringify(addon)});\n${body}`];
}
