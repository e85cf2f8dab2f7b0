/** The memories of a device by pages, while they are copied ahead: which of them the other side does not have yet as they are now. */
import { setImmediate } from 'node:timers/promises';
import { PAGE_SIZE, pageRecord } from './records.js';

const ZEROES = Buffer.alloc(PAGE_SIZE);
/** 4 MiB. */
const PAGES_PER_TURN = 1024;

export class CopiedPages {
  /** What the other side has, or will have once it has read everything, by memory and page; zeroes where nothing stands. */
  private readonly sent: Map<number, Buffer>[];

  constructor(private readonly memories: readonly Buffer[]) {
    this.sent = memories.map(() => new Map());
  }

  /** Records for all that differs now; the other side is taken to have them from then on. Lets the main loop turn now and then. */
  async take(): Promise<Buffer[]> {
    const records: Buffer[] = [];
    let seen = 0;
    for (const { memory, offset, bytes } of this.all()) {
      if (++seen % PAGES_PER_TURN === 0) await setImmediate();
      const known = this.sent[memory]!.get(offset) ?? ZEROES.subarray(0, bytes.length);
      if (bytes.equals(known)) continue;
      const whole = pageRecord({ memory, offset }, bytes);
      this.sent[memory]!.set(offset, whole.subarray(whole.length - bytes.length));
      records.push(whole);
    }
    return records;
  }

  private *all(): Generator<{ memory: number; offset: number; bytes: Buffer }> {
    for (const [memory, content] of this.memories.entries())
      for (let offset = 0; offset < content.length; offset += PAGE_SIZE)
        yield { memory, offset, bytes: content.subarray(offset, offset + PAGE_SIZE) };
  }
}
