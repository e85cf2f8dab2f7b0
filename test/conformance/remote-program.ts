/** `program` in a process of its own: the daemon's thread must never touch its own mount. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Program } from './program.mjs';

interface Answer {
  id: number;
  value?: unknown;
  error?: { code: string; message: string };
}

export interface RemoteProgram {
  readonly program: Program;
  stop(): Promise<void>;
}

export function remoteProgram(root: string): RemoteProgram {
  const child: ChildProcess = fork(fileURLToPath(new URL('./program.mjs', import.meta.url)), [root], {
    cwd: '/',
    execArgv: [],
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  let last = 0;
  child.on('message', (answer: Answer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  });
  const call = (name: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, ({ value, error }) =>
        error ? reject(Object.assign(new Error(error.message), { code: error.code })) : resolve(value),
      );
      child.send({ id, name, args });
    });
  return {
    program: new Proxy({} as Program, {
      get: (_target, name) =>
        name === 'then' ? undefined : (...args: unknown[]) => call(String(name), args),
    }),
    async stop() {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}
