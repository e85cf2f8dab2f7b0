/** The numbers that the real machine uses: what stands beside it has others. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const namesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

/** Real numbers are given from below, so those of what comes later stay below, too. */
const STEP = 1000;

function above(numbers: readonly number[]): number {
  return Math.ceil((Math.max(...numbers) + 1) / STEP) * STEP;
}

export function realNumbers(sys = '/sys'): { domains: Set<number>; group: number; vfio: number } {
  const domains = namesIn(join(sys, 'bus/pci/devices')).map((bdf) => Number.parseInt(bdf, 16));
  const groups = namesIn(join(sys, 'kernel/iommu_groups')).map(Number);
  const devices = namesIn(join(sys, 'class/vfio-dev')).map((name) => Number(name.slice('vfio'.length)));
  // Any function in a group may be given to vfio while we run.
  const any = groups.length + devices.length > 0;
  return {
    domains: new Set(domains),
    group: any ? above([0, ...groups]) : 0,
    vfio: any ? above([0, ...devices]) : 0,
  };
}
