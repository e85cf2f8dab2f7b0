/** A host that is to be seen beside a real machine: no name of one may be a name of the other. */
import { movedBdf, parseBdf } from '../host/bdf.js';
import type { HostDescription } from '../host/description.js';

/** What a machine uses already. */
export interface UsedNumbers {
  /** PCI domains. */
  readonly domains: ReadonlySet<number>;
  /** What IOMMU groups and vfio devices had best begin with. */
  readonly group: number;
  readonly vfio: number;
}

export interface Moved {
  readonly description: HostDescription;
  /** What has another number now than the topology says, for people; may be empty. */
  readonly changes: readonly string[];
}

const hex = (domain: number): string => domain.toString(16).padStart(4, '0');

/** The domains in use on both sides, each with a free one for the pretend host's functions. */
function newDomains(own: Iterable<number>, used: ReadonlySet<number>): Map<number, number> {
  const taken = new Set([...own, ...used]);
  const moves = new Map<number, number>();
  for (const domain of new Set(own)) {
    if (!used.has(domain)) continue;
    let free = 1;
    while (taken.has(free)) free++;
    taken.add(free);
    moves.set(domain, free);
  }
  return moves;
}

/** `description` with PCI domains, group numbers and vfio numbers that are not in use. */
export function besideMachine(description: HostDescription, used: UsedNumbers): Moved {
  const address = (bdf: string) => parseBdf(bdf)!;
  const { rootBuses = ['0000:00'], chosenProfiles } = description;
  const domains = [
    ...description.functions.map(({ bdf }) => address(bdf).domain),
    ...rootBuses.map((bus) => address(`${bus}:00.0`).domain),
  ];
  const moves = newDomains(domains, used.domains);
  const move = (bdf: string): string => movedBdf(bdf, moves);
  const functions = description.functions.map((fn) => ({
    ...fn,
    bdf: move(fn.bdf),
    ...(fn.iommuGroup !== undefined && { iommuGroup: fn.iommuGroup + used.group }),
  }));
  return {
    description: {
      ...description,
      functions,
      rootBuses: rootBuses.map((bus) => move(`${bus}:00.0`).slice(0, -':00.0'.length)),
      numbersFrom: { group: used.group, vfio: used.vfio },
      domainsAsNamed: new Map([...moves].map(([from, to]) => [to, from])),
      ...(chosenProfiles && {
        chosenProfiles: Object.fromEntries(
          Object.entries(chosenProfiles).map(([bdf, name]) => [move(bdf), name]),
        ),
      }),
    },
    changes: [
      ...[...moves].map(
        ([from, to]) => `PCI domain ${hex(from)} is the real machine's: its functions are ${hex(to)}: here`,
      ),
      ...(used.group > 0 ? [`IOMMU groups begin with ${used.group}`] : []),
      ...(used.vfio > 0 ? [`vfio devices begin with vfio${used.vfio}`] : []),
    ],
  };
}
