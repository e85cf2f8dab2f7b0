/** A machine on a mount of its own, whose kernel's cache is kept true. Needs root and /dev/fuse. */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Machine } from '../../src/machine.js';
import { loadTopology } from '../../src/topology/index.js';
import { fuseTransport, type RunningFuse } from '../../src/transports/fuse-mount.js';
import type { Observer, Operation } from '../../src/vfs/dispatch.js';

export interface ServedMachine {
  readonly machine: Machine;
  readonly running: RunningFuse;
  readonly directory: string;
  stop(): Promise<void>;
}

/** The preset `sriov`. */
export async function serveMachine(observers?: readonly Observer[]): Promise<ServedMachine> {
  const machine = new Machine(loadTopology('sriov'), { pages: 'memfd', ...(observers && { observers }) });
  const directory = await mkdtemp(join(tmpdir(), 'vfiofs-cache-'));
  const running = await fuseTransport.serve(machine.root, machine.dispatcher, directory);
  const forget = machine.keepTrue(running.session.cache);
  return {
    ...{ machine, running, directory },
    async stop() {
      forget();
      await running.stop();
      machine.destroy();
      await rmdir(directory);
    },
  };
}

/** Notes every operation; a bug is a failure. */
export function noting(operations: Operation[]): Observer {
  return {
    begin: (operation) => void operations.push(operation),
    bug: (_, error) => {
      throw error;
    },
  };
}
