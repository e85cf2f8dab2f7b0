/** `vfiofs container-args`. */
import { asArguments, asCdi, asOci, containerEdits, highestMemlock } from '../run/containers.js';
import { findHost, shortName } from '../run/hosts.js';
import { UsageError } from '../run/user-error.js';
import type { ContainerArgsOptions } from './program.js';

export async function containerArgs(name: string | undefined, options: ContainerArgsOptions): Promise<void> {
  const host = findHost(name);
  const { directory } = host;
  const { group: groups = [], readOnly = false, format } = options;
  if (format === 'cdi' && groups.length > 0)
    throw new UsageError('a CDI specification has all groups', 'choose with: --device KIND=group-N');
  const json = (value: object) => JSON.stringify(value, null, 2);
  const edits = () => containerEdits(directory, { groups, readOnly, memlock: highestMemlock() });
  const text = {
    args: () => asArguments(edits()).join(' '),
    oci: () => json(asOci(edits())),
    cdi: () => json(asCdi(directory, shortName(host), readOnly)),
  }[format];
  process.stdout.write(`${text()}\n`);
}
