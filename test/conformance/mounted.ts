/** An adapter for transports that mount: a fresh directory, the transport, and a client in a process of its own. */
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunningTransport, Transport } from '../../src/transports/contract.js';
import type { Adapter } from './adapter.js';
import { remoteProgram } from './remote-program.js';

export function mounted(transport: Transport<string, RunningTransport>): Adapter {
  return {
    transport,
    async start(tree, dispatcher) {
      const directory = await mkdtemp(join(tmpdir(), 'vfiofs-conformance-'));
      const running = await transport.serve(tree.root, dispatcher, directory);
      const remote = remoteProgram(directory);
      return {
        program: remote.program,
        async stop() {
          await remote.stop();
          await running.stop();
          await rmdir(directory);
        },
      };
    },
  };
}
