/** Small C programs as clients: compiled on demand, talked to by lines. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const sources = fileURLToPath(new URL('clients/', import.meta.url));
const programs = fileURLToPath(new URL('../../build/test-clients/', import.meta.url));

/** The path of the program made of clients/<name>.c. */
export function compile(name: string, flags: readonly string[] = ['-pthread']): string {
  const source = `${sources}${name}.c`;
  const program = `${programs}native-${name}`;
  if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
  mkdirSync(programs, { recursive: true });
  // By another name first: test files run at the same time.
  const fresh = `${program}.${process.pid}`;
  execFileSync('gcc', ['-O1', '-Wall', '-Wextra', ...flags, '-o', fresh, source], { stdio: 'inherit' });
  renameSync(fresh, program);
  return program;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Client {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  private readonly lines: AsyncIterator<string>;

  constructor(program: string, args: readonly string[] = []) {
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => resolve({ code, signal }));
    });
    // Whoever asks one that has ended learns it from line().
    this.child.stdin!.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The next line it prints. */
  async line(): Promise<string> {
    const next = await this.lines.next();
    if (next.done) throw new Error(`${this.child.spawnfile} said no more`);
    return next.value;
  }

  async ask(command: string): Promise<string> {
    this.child.stdin!.write(`${command}\n`);
    return this.line();
  }

  async kill(): Promise<Exit> {
    this.child.kill('SIGKILL');
    return this.exited;
  }
}

/** Where clients/memory.c keeps what; addresses of four pages each (mixed: eight). */
export interface Areas {
  readonly tid: number;
  readonly private: number;
  readonly untouched: number;
  readonly readonly: number;
  readonly holed: number;
  readonly shared: number;
  readonly split: number;
  readonly anonymous: number;
  readonly mixed: number;
  readonly file: number;
  /** 0 where userfaultfd is not to be had. */
  readonly fault: number;
  /** 2 MiB; 0 where no huge page is to be had. */
  readonly huge: number;
  readonly event: number;
  readonly full: number;
}

export class MemoryClient extends Client {
  areas!: Areas;

  static async start(): Promise<MemoryClient> {
    const client = new MemoryClient(compile('memory'));
    client.areas = JSON.parse(await client.line()) as Areas;
    return client;
  }

  /** A byte of its memory, as it sees it. */
  async peek(address: number): Promise<number> {
    return Number(await this.ask(`peek ${address}`));
  }
}
