/** The CPUs of the machine and the NUMA nodes they belong to, as far as attributes of devices show them. */
import { availableParallelism } from 'node:os';

export interface Cpus {
  /** nr_cpu_ids; all of them online. */
  readonly count: number;
  /** CPUs by node. */
  readonly nodes: readonly (readonly number[])[];
  /** cpumask_of_node(); all of them for no node, or one that there is not. */
  near(node: number): readonly number[];
}

/** `lists`: a list of CPUs per node, `0-3,8`; without it one node with the CPUs that this process may use. */
export function cpusOf(lists: readonly string[] | undefined): Cpus {
  const nodes = lists?.map(parseCpuList) ?? [Array.from({ length: availableParallelism() }, (_, cpu) => cpu)];
  const all = nodes.flat().sort((a, b) => a - b);
  return { count: all.at(-1)! + 1, nodes, near: (node) => nodes[node] ?? all };
}

/** cpulist_parse(), without strides. */
export function parseCpuList(text: string): number[] {
  return text.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number) as [number, number?];
    return Array.from({ length: last! - first + 1 }, (_, i) => first + i);
  });
}
