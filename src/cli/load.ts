/** What the TOPOLOGY argument of the commands means. */
import { models } from '../devices/index.js';
import type { HostDescription } from '../host/description.js';
import { UsageError } from '../run/user-error.js';
import { type LoadOptions, loadPreset, loadTopology, presetNames } from '../topology/index.js';

/** The preset that stands where no topology is given. */
const defaultPreset = 'default';

/** A path has a slash, or the extension of YAML or JSON; any other word is a preset. */
export function isPath(topology: string): boolean {
  return topology.includes('/') || /\.(ya?ml|json)$/.test(topology);
}

/** Throws TopologyError for a file that is not valid, UsageError for one that is not there, and for an unknown preset. */
export function loadHost(topology: string = defaultPreset, options: LoadOptions = {}): HostDescription {
  if (isPath(topology)) {
    try {
      return loadTopology(topology, models, options);
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code === undefined) throw cause;
      throw new UsageError(`${topology} can't be read: ${message}`, undefined, { cause });
    }
  }
  if (!presetNames().includes(topology))
    throw new UsageError(
      `there is no preset ${topology}`,
      `there are: ${presetNames().join(', ')}; a file is given as ./${topology} or with .yaml`,
    );
  return loadPreset(topology, models, options);
}
