/** The states a migratable device can be in, and the way from one to another (vfio_mig_get_next_state()). */
import { MigrationFlag, MigState } from '../../abi/vfio/index.js';

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = MigState;
const { P2P, PRE_COPY: PRECOPY } = MigrationFlag;

/** One step that a driver takes by itself. */
export interface Arc {
  readonly from: number;
  readonly to: number;
  /** The step opens a data_fd, so it can only be the last one of its way. */
  readonly opens?: true;
}

const arc = (from: number, to: number): Arc => ({ from, to });
const opening = (from: number, to: number): Arc => ({ from, to, opens: true });

/**
 * The arcs of a device with these flags (the list in front of vfio_mig_get_next_state()). Of two ways equally long the kernel takes the one
 * that gives up saving first, so those arcs stand first.
 */
export function arcsOf(flags: number): readonly Arc[] {
  const p2p = (flags & P2P) !== 0;
  const running = p2p
    ? [arc(RUNNING, RUNNING_P2P), arc(RUNNING_P2P, RUNNING), arc(RUNNING_P2P, STOP), arc(STOP, RUNNING_P2P)]
    : [arc(RUNNING, STOP), arc(STOP, RUNNING)];
  const saved = [arc(STOP_COPY, STOP), opening(STOP, STOP_COPY)];
  const loaded = [arc(RESUMING, STOP), opening(STOP, RESUMING)];
  const always = [...running, ...saved, ...loaded];
  if (!(flags & PRECOPY)) return always;
  const ahead = [arc(PRE_COPY, RUNNING), opening(RUNNING, PRE_COPY)];
  if (!p2p) return [...always, ...ahead, arc(PRE_COPY, STOP_COPY)];
  return [
    ...always,
    ...ahead,
    arc(PRE_COPY_P2P, RUNNING_P2P),
    opening(RUNNING_P2P, PRE_COPY_P2P),
    arc(PRE_COPY, PRE_COPY_P2P),
    arc(PRE_COPY_P2P, PRE_COPY),
    arc(PRE_COPY_P2P, STOP_COPY),
  ];
}

/** The arcs to take, in order; undefined where there is no way: states the device lacks, ERROR, and from STOP_COPY back to copying ahead. */
export function wayTo(arcs: readonly Arc[], from: number, to: number): readonly Arc[] | undefined {
  if (from === STOP_COPY && (to === PRE_COPY || to === PRE_COPY_P2P)) return undefined;
  const ways: (readonly Arc[])[] = [[]];
  const seen = new Set([from]);
  for (const way of ways) {
    const at = way.at(-1)?.to ?? from;
    if (at === to) return way;
    for (const next of arcs) {
      if (next.from !== at || seen.has(next.to) || (next.opens && next.to !== to)) continue;
      seen.add(next.to);
      ways.push([...way, next]);
    }
  }
  return undefined;
}

const names = new Map(Object.entries(MigState).map(([name, value]) => [value as number, name]));

export const stateName = (state: number): string => names.get(state) ?? String(state);
