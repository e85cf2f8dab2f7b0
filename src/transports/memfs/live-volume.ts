/**
 * memfs's fs API over a live core. Its asynchronous functions run the synchronous ones a microtask later; here they also await what
 * those could not finish (WaitingError).
 */
import { type IFs, Volume } from 'memfs';
import { WaitingError } from './errors.js';
import type { LiveSuperblock } from './live-superblock.js';

type Callback = (error: unknown, ...results: unknown[]) => void;
type Api = Record<string, (...args: unknown[]) => unknown>;

/** One operation each: awaiting its outcome is all there is to do. A vector goes as far as its first piece that waits. */
const single = ['open', 'read', 'readv', 'write', 'writev'] as const;

interface FileOptions {
  readonly encoding?: BufferEncoding | null;
  readonly flag?: string | number;
}

export class LiveVolume extends Volume {
  constructor(core: LiveSuperblock) {
    super(core);
    const api = this as unknown as Api;
    for (const name of single) api[name] = awaiting(api[name]!.bind(this));
    api.readFile = callbackForm((id, options) => this.readWhole(id as string | number, fileOptions(options)));
    api.writeFile = callbackForm((id, data, options) =>
      this.writeWhole(id as string | number, data, fileOptions(options)),
    );
  }

  private async readWhole(id: string | number, options: FileOptions): Promise<Buffer | string> {
    const content = await this.withFile(id, options.flag ?? 'r', async (handle) => {
      const parts: Buffer[] = [];
      for (;;) {
        const { bytesRead, buffer } = await handle.read(Buffer.alloc(1 << 17));
        if (bytesRead === 0) return Buffer.concat(parts);
        parts.push((buffer as Buffer).subarray(0, bytesRead));
      }
    });
    return options.encoding ? content.toString(options.encoding) : content;
  }

  private async writeWhole(id: string | number, data: unknown, options: FileOptions): Promise<void> {
    const bytes =
      typeof data === 'string'
        ? Buffer.from(data, options.encoding ?? 'utf8')
        : Buffer.from(data as Uint8Array);
    await this.withFile(id, options.flag ?? 'w', async (handle) => {
      for (let done = 0; done < bytes.length; )
        done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
    });
  }

  /** `use` on an open file: the caller's own descriptor, or one opened and closed here. */
  private async withFile<T>(
    id: string | number,
    flag: string | number,
    use: (file: Handle) => Promise<T>,
  ): Promise<T> {
    if (typeof id === 'number') return await use(this.handle(id));
    const opened = (await this.promises.open(id, flag)) as unknown as Handle & { close(): Promise<void> };
    try {
      return await use(opened);
    } finally {
      await opened.close();
    }
  }

  private handle(fd: number): Handle {
    const api = this as unknown as Api;
    const call = (name: string, args: unknown[]) =>
      new Promise<number>((done, fail) =>
        api[name]!(fd, ...args, (error: unknown, count: number) => (error ? fail(error) : done(count))),
      );
    return {
      read: async (buffer) => ({ bytesRead: await call('read', [buffer, 0, buffer.length, null]), buffer }),
      write: async (data, offset, length) => ({
        bytesWritten: await call('write', [data, offset, length, null]),
      }),
    };
  }
}

interface Handle {
  read(buffer: Buffer): Promise<{ bytesRead: number; buffer: unknown }>;
  write(data: Buffer, offset: number, length: number): Promise<{ bytesWritten: number }>;
}

function fileOptions(options: unknown): FileOptions {
  return typeof options === 'string'
    ? { encoding: options as BufferEncoding }
    : ((options as FileOptions) ?? {});
}

/** `base`, whose callback waits for the outcome of an operation that waits. */
function awaiting(base: (...args: unknown[]) => unknown): (...args: unknown[]) => unknown {
  return (...args) => {
    const callback = args.pop() as Callback;
    if (typeof callback !== 'function') return base(...args, callback); // memfs says what is wrong
    return base(...args, (error: unknown, ...results: unknown[]) => {
      if (error instanceof WaitingError)
        error.claim().then(
          (value) => callback(null, value, ...results.slice(1)),
          (reason) => callback(reason, ...results),
        );
      else callback(error, ...results);
    });
  };
}

/** Node's callback style over a function of promises. */
function callbackForm(body: (...args: unknown[]) => Promise<unknown>): (...args: unknown[]) => void {
  return (...args) => {
    const callback = args.pop() as Callback;
    if (typeof callback !== 'function') throw new TypeError('the callback must be a function');
    body(...args).then((value) => callback(null, value), callback);
  };
}

export type LiveFs = IFs;
