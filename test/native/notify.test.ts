import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { serveEachTest, server, start } from './served.js';

const { ENOENT, EINVAL } = constants.errno;
const LOOKUP = 1;
const FUSE_NOTIFY_INVAL_ENTRY = 3;
const FUSE_NOTIFY_INVAL_INODE = 2;

serveEachTest();

/** fuse_out_header of a notification and its struct. */
function notification(code: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeInt32LE(code, 4);
  return Buffer.concat([header, body]);
}

function invalidateEntry(parent: bigint, name: string): Buffer {
  const body = Buffer.alloc(16);
  body.writeBigUInt64LE(parent, 0);
  body.writeUInt32LE(name.length, 8);
  return notification(FUSE_NOTIFY_INVAL_ENTRY, Buffer.concat([body, Buffer.from(`${name}\0`)]));
}

function invalidateInode(inode: bigint): Buffer {
  const body = Buffer.alloc(24);
  body.writeBigUInt64LE(inode, 0);
  return notification(FUSE_NOTIFY_INVAL_INODE, body);
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Whether a thread of this process is in an uninterruptible sleep, as those are that wait for an inode's lock. */
function sleepsInKernel(): boolean {
  return readdirSync('/proc/self/task').some((tid) =>
    readFileSync(`/proc/self/task/${tid}/stat`, 'latin1').includes(') D '),
  );
}

describe('notify', () => {
  it('tells the errno', async () => {
    expect(await server.channel.notify(invalidateEntry(1n, 'nothing'))).toBe(ENOENT);
    expect(await server.channel.notify(Buffer.alloc(16))).toBe(EINVAL);
  });

  it('reaches the kernel in order', async () => {
    server.onIoctl = ({ unique }) => server.answer(unique, 0);
    await start('flood').line();
    const settled: string[] = [];
    const send = async (name: string, message: Buffer) => {
      const errno = await server.channel.notify(message);
      settled.push(`${name} ${errno}`);
    };
    await Promise.all([
      send('entry', invalidateEntry(1n, 'dev')),
      // The first has unhashed it.
      send('again', invalidateEntry(1n, 'dev')),
      send('inode', invalidateInode(2n)),
      send('no inode', invalidateInode(77n)),
    ]);
    expect(settled).toEqual(['entry 0', `again ${ENOENT}`, 'inode 0', `no inode ${ENOENT}`]);
  });

  it('does not keep anybody from closing while it waits for a lock of a client that waits for an answer', async () => {
    const asked = new Promise<void>((resolve) => {
      server.intercept = (opcode) => {
        if (opcode === LOOKUP) resolve();
        return opcode === LOOKUP;
      };
    });
    const waiting = start('lookup', `${server.directory}/one`);
    await asked;
    // Takes the directory's lock, which the look-up holds.
    const notified = server.channel.notify(invalidateEntry(1n, 'one'));
    while (!sleepsInKernel()) await new Promise((resolve) => setImmediate(resolve));
    server.channel.close();
    expect(Number(await waiting.line())).toBeLessThan(0);
    expect(await notified).toBeTypeOf('number');
  });

  it('nor of one whose request nobody has read', async () => {
    await start('lookup', `${server.directory}/none`).line();
    const waiting = start('lookup', `${server.directory}/one`, 'wait');
    expect(await waiting.line()).toBe('waiting');
    // From here on the loop does not run.
    waiting.child.stdin!.write('\n');
    while (!readFileSync(`/proc/${waiting.pid}/wchan`, 'latin1').includes('request_wait'))
      Atomics.wait(pause, 0, 0, 1);
    const notified = server.channel.notify(invalidateEntry(1n, 'one'));
    while (!sleepsInKernel()) Atomics.wait(pause, 0, 0, 1);
    server.channel.close();
    expect(Number(await waiting.line())).toBeLessThan(0);
    expect(await notified).toBeTypeOf('number');
  });
});
