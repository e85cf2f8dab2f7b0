/** NUMA nodes: lists of CPUs that can be, and functions at nodes that are listed. */
import { parseCpuList } from './cpus.js';
import type { HostDescription } from './description.js';
import type { Report } from './problem.js';

/** CONFIG_NR_CPUS_RANGE_END of x86-64. */
const mostCpus = 8192;

export function checkNuma({ numaNodes, functions }: HostDescription, report: Report): void {
  checkCpus(numaNodes ?? [], report);
  // Without a list the nodes are those of the machine it is run on.
  if (!numaNodes) return;
  const last = numaNodes.length - 1;
  functions.forEach(({ numaNode = -1 }, i) => {
    if (numaNode > last)
      report(
        ['functions', i, 'numaNode'],
        `${numaNode}: the machine has ${last === 0 ? 'node 0 only' : `nodes 0 to ${last}`} (numa_nodes)`,
      );
  });
}

function checkCpus(lists: readonly string[], report: Report): void {
  const owners = new Map<number, number>();
  for (const [node, text] of lists.entries()) {
    const wrong = wrongWith(text, owners);
    if (wrong === undefined) for (const cpu of parseCpuList(text)) owners.set(cpu, node);
    else report(['numaNodes', node], `"${text}": ${wrong}`);
  }
}

function wrongWith(text: string, owners: ReadonlyMap<number, number>): string | undefined {
  if (!/^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$/.test(text)) return 'expected CPUs like 0-3,8';
  if (text.split(',').some(isNoRange)) return `expected CPUs 0 to ${mostCpus - 1}, in ranges that rise`;
  const twice = parseCpuList(text).find((cpu) => owners.has(cpu));
  return twice === undefined ? undefined : `CPU ${twice} is in node ${owners.get(twice)}, too`;
}

function isNoRange(text: string): boolean {
  const [first, last = first] = text.split('-').map(Number) as [number, number?];
  return last! < first || last! >= mostCpus;
}
