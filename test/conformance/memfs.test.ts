import { memfsTransport } from '../../src/transports/memfs/index.js';
import { program } from './program.mjs';
import { conformance } from './suite.js';

conformance({
  transport: memfsTransport,
  async start(tree, dispatcher) {
    const running = await memfsTransport.serve(tree.root, dispatcher, undefined);
    return { program: program(running.fs, ''), stop: () => running.stop() };
  },
});
