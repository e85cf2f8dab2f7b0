import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Graft, native } from '../../src/native/index.js';
import { Client, compile } from './client.js';
import { FuseServer, type Ioctl } from './fuse-server.js';

const O_RDWR = 2;
const ENOTTY = constants.errno.ENOTTY;
let server: FuseServer;
let clients: Client[];

beforeEach(() => {
  server = new FuseServer();
  clients = [];
});

afterEach(async () => {
  // First the server: a client that waits for an answer does not even die.
  server.stop();
  for (const client of clients) await client.kill();
  expect(native().counts().grafts).toBe(0);
});

function start(mode: string): Client {
  const client = new Client(compile('graft'), [server.file, mode]);
  clients.push(client);
  return client;
}

/** The next ioctl somebody waits in. */
function asked(): Promise<Ioctl> {
  return new Promise((resolve) => {
    server.onIoctl = resolve;
  });
}

/** What the daemon does for VFIO_GROUP_GET_DEVICE_FD. */
async function give(ioctl: Ioctl): Promise<void> {
  const graft = await native().graftBegin(ioctl.tid);
  server.answer(ioctl.unique, 0);
  await graft.finish(await graft.openat(Number(ioctl.argument), O_RDWR));
}

function state(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]![0]!;
}

/** Until `tid` has a SIGKILL waiting for it: a thread in a FUSE request that was read dies with the answer only. */
async function doomed(tid: number): Promise<void> {
  const pending = () => /^SigPnd:\s*(\w+)/m.exec(readFileSync(`/proc/${tid}/status`, 'latin1'))![1]!;
  while (!(Number.parseInt(pending(), 16) & 0x100)) await new Promise((resolve) => setImmediate(resolve));
}

describe('graftBegin', () => {
  it('refuses a thread that is not there', async () => {
    await expect(native().graftBegin(2 ** 22 - 1)).rejects.toMatchObject({
      code: 'ESRCH',
      syscall: 'ptrace',
    });
    await expect(native().graftBegin(0)).rejects.toMatchObject({ code: 'ESRCH' });
  });

  it('refuses what somebody else traces', async () => {
    const client = start('traced');
    const ioctl = await asked();
    await expect(native().graftBegin(ioctl.tid)).rejects.toMatchObject({ code: 'EPERM' });
    server.fail(ioctl.unique, ENOTTY);
    expect(await client.line()).toMatch(`-${ENOTTY} `);
  });

  it('refuses a 32-bit program and leaves it alone', async () => {
    const flags = ['-m32', '-nostdlib', '-static', '-fno-pie', '-no-pie', '-fno-stack-protector'];
    const client = new Client(compile('graft32', flags), [server.file]);
    clients.push(client);
    const ioctl = await asked();
    await expect(native().graftBegin(ioctl.tid)).rejects.toMatchObject({ code: 'ENOEXEC' });
    server.answer(ioctl.unique, 17);
    expect(await client.exited).toEqual({ code: 17, signal: null });
  });
});

describe('a graft', () => {
  it('gives the client a descriptor', async () => {
    const client = start('plain');
    await give(await asked());
    const [fd, link] = (await client.line()).split(' ');
    expect(Number(fd)).toBeGreaterThan(2);
    expect(link).toBe(server.file);
    expect(await client.exited).toEqual({ code: 0, signal: null });
  });

  it('leaves the stack, the registers and the signal mask as they were', async () => {
    const client = start('stack');
    await give(await asked());
    expect(await client.line()).toMatch(/^\d+ .*dev blocked=0$/);
    expect(await client.exited).toEqual({ code: 0, signal: null });
  });

  it('tells the errno of the open and lets finish say another', async () => {
    const client = start('plain');
    const ioctl = await asked();
    const graft = await native().graftBegin(ioctl.tid);
    server.answer(ioctl.unique, 0);
    await expect(graft.openat(999, O_RDWR)).rejects.toMatchObject({ code: 'ENOENT', syscall: 'openat' });
    // A second try after a failed one.
    const fd = await graft.openat(Number(ioctl.argument), O_RDWR);
    expect(fd).toBeGreaterThan(2);
    await graft.finish(-ENOTTY);
    expect(await client.line()).toBe(`-${ENOTTY} - blocked=0`);
  });

  it('can be finished without an open', async () => {
    const client = start('plain');
    const ioctl = await asked();
    const graft = await native().graftBegin(ioctl.tid);
    server.answer(ioctl.unique, 0);
    await graft.finish(-ENOTTY);
    expect(await client.line()).toBe(`-${ENOTTY} - blocked=0`);
  });

  it('works under a storm of signals, none of which is lost for good', async () => {
    const client = start('signals');
    await give(await asked());
    expect(await client.line()).toMatch(/^\d+ .*dev blocked=0$/);
    expect(await client.line()).toBe('ticking');
  });

  it('serves four threads of one process at once', async () => {
    const waiting: Ioctl[] = [];
    const all = new Promise<void>((resolve) => {
      server.onIoctl = (ioctl) => {
        if (waiting.push(ioctl) === 4) resolve();
      };
    });
    const client = start('threads');
    await all;
    await Promise.all(waiting.map(give));
    const given = [];
    for (let i = 0; i < 4; i++) given.push((await client.line()).split(' ')[0]);
    expect(new Set(given).size).toBe(4);
    expect(await client.exited).toEqual({ code: 0, signal: null });
  });

  it('serves one thread many times in a row', async () => {
    for (let i = 0; i < 10; i++) {
      const client = start('plain');
      await give(await asked());
      expect(await client.line()).toMatch(/^\d+ /);
      expect((await client.exited).code).toBe(0);
    }
  });

  it('waits for a stopped process to go on stopping', async () => {
    const client = start('plain');
    const ioctl = await asked();
    client.child.kill('SIGSTOP');
    await give(ioctl);
    // Job control is as it was: it stops, and goes on when told so.
    while (state(client.pid) !== 'T') await new Promise((resolve) => setImmediate(resolve));
    client.child.kill('SIGCONT');
    expect(await client.line()).toMatch(/^\d+ .*dev blocked=0$/);
  });
});

describe('death', () => {
  let graft: Graft;
  let ioctl: Ioctl;
  let client: Client;

  beforeEach(async () => {
    client = start('plain');
    ioctl = await asked();
    graft = await native().graftBegin(ioctl.tid);
  });

  it('before the ioctl is answered', async () => {
    client.child.kill('SIGKILL');
    await doomed(ioctl.tid);
    const opened = graft.openat(Number(ioctl.argument), O_RDWR);
    server.answer(ioctl.unique, 0);
    await expect(opened).rejects.toMatchObject({ code: 'ESRCH' });
    await expect(graft.finish(0)).rejects.toMatchObject({ code: 'ESRCH' });
    expect(await client.exited).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('before the ioctl is answered, with nobody asking: it does not stay a zombie', async () => {
    client.child.kill('SIGKILL');
    await doomed(ioctl.tid);
    server.answer(ioctl.unique, 0);
    expect(await client.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await expect(graft.finish(0)).rejects.toMatchObject({ code: 'ESRCH' });
  });

  it('between the open and the end', async () => {
    server.answer(ioctl.unique, 0);
    await graft.openat(Number(ioctl.argument), O_RDWR);
    expect(await client.kill()).toEqual({ code: null, signal: 'SIGKILL' });
    await expect(graft.finish(3)).rejects.toMatchObject({ code: 'ESRCH' });
  });

  it('in the open', async () => {
    const opening = new Promise<bigint>((resolve) => {
      server.intercept = (opcode, unique) => {
        if (opcode === 14) resolve(unique);
        return opcode === 14;
      };
    });
    server.answer(ioctl.unique, 0);
    const opened = graft.openat(Number(ioctl.argument), O_RDWR);
    opened.catch(() => undefined);
    const unique = await opening;
    client.child.kill('SIGKILL');
    await doomed(ioctl.tid);
    server.fail(unique, ENOTTY);
    await expect(opened).rejects.toMatchObject({ code: 'ESRCH' });
    await expect(graft.finish(3)).rejects.toMatchObject({ code: 'ESRCH' });
    expect(await client.exited).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('is not taken for one by libuv when the client merely stops', async () => {
    let ended = false;
    client.child.on('exit', () => {
      ended = true;
    });
    server.answer(ioctl.unique, 0);
    await graft.openat(Number(ioctl.argument), O_RDWR);
    expect(ended).toBe(false);
    await graft.finish(-ENOTTY);
    expect(await client.line()).toMatch(`-${ENOTTY}`);
    expect(await client.exited).toEqual({ code: 0, signal: null });
  });
});

describe('execve by another thread', () => {
  it('ends the graft of the thread it replaces', async () => {
    const client = start('exec');
    const ioctl = await asked();
    expect(await client.line()).toBe('exec');
    const graft = await native().graftBegin(ioctl.tid);
    client.child.stdin!.write('\n');
    await doomed(ioctl.tid);
    server.answer(ioctl.unique, 0);
    await expect(graft.openat(Number(ioctl.argument), O_RDWR)).rejects.toMatchObject({ code: 'ESRCH' });
    await expect(graft.finish(0)).rejects.toMatchObject({ code: 'ESRCH' });
    expect(await client.line()).toBe('replaced');
    expect(await client.exited).toEqual({ code: 0, signal: null });
  });
});
