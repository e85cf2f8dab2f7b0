/** What the suite needs of a transport under test. */
import type { Gap, TransportName } from '../../src/transports/contract.js';
import type { Dispatcher } from '../../src/vfs/dispatch.js';
import type { Program } from './program.mjs';
import type { SampleTree } from './tree.js';

export interface Adapter {
  readonly transport: { readonly name: TransportName; readonly lacks: readonly Gap[] };
  /** Serves the tree and starts a client program on it. */
  start(tree: SampleTree, dispatcher: Dispatcher): Promise<Running>;
}

export interface Running {
  readonly program: Program;
  /** Ends the client, then the transport. */
  stop(): Promise<void>;
}
