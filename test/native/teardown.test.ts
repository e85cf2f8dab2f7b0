import { spawn, spawnSync } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';
import { Client, compile, MemoryClient } from './client.js';
import { addon, script } from './fixtures.js';
import { FuseServer, type Ioctl } from './fuse-server.js';

const EINTR = 4;

describe('a process that ends', () => {
  function run(body: string): { status: number | null; signal: string | null; stdout: string } {
    return spawnSync(process.execPath, script(body), { encoding: 'utf8', timeout: 20_000 });
  }

  it('by itself is kept by an open channel only', () => {
    const body = `
      const memory = n.map(n.memfd('m', 4096), 0, 4096);
      n.watch(memory, [{ offset: 0, width: 4 }], () => {}).start();
      n.openProcess(process.ppid).onExit(() => {});
      console.log('over');`;
    expect(run(body)).toMatchObject({ status: 0, stdout: 'over\n' });
    const open = spawn(
      process.execPath,
      script(`n.createChannel(3, 8192).start(() => {}, () => process.exit(5));`),
      {
        stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
      },
    );
    // Nothing but the end of its connection ends it.
    const code = new Promise((resolve) => open.on('exit', resolve));
    open.stdio[3]!.destroy();
    return expect(code).resolves.toBe(5);
  });

  it('waits for what was promised', () => {
    const body = `
      n.openProcess(process.pid).pin(0x1000, 1, false, 1000).catch((e) => console.log(e.code));`;
    expect(run(body)).toMatchObject({ status: 0, stdout: 'EFAULT\n' });
  });

  it('by process.exit() leaves everything as it stands', () => {
    const body = `
      const memory = n.map(n.memfd('m', 1 << 26), 0, 1 << 26);
      n.watch(memory, [{ offset: 0, width: 4 }], () => {}).start();
      const self = n.openProcess(process.pid);
      self.onExit(() => {});
      const bytes = Buffer.alloc(1 << 26);
      n.transfer([{ source: bytes, sourceOffset: 0, target: memory.buffer, targetOffset: 0, length: 1 << 26 }]);
      self.readBlocking(0x1000, bytes, 1000);
      process.exit(3);`;
    expect(run(body)).toMatchObject({ status: 3, signal: null });
  });

  it('by process.exit() while a thread sleeps in memory that never comes', async ({ skip }) => {
    const client = await MemoryClient.start();
    if (!client.areas.fault) skip('userfaultfd is not to be had');
    const body = `
      const client = n.openProcess(${client.pid});
      client.readBlocking(${client.areas.fault}, Buffer.alloc(4), 20).catch((e) => {
        console.log(e.code);
        process.exit(4);
      });`;
    expect(run(body)).toMatchObject({ status: 4, stdout: 'ETIMEDOUT\n' });
    await client.kill();
  });
});

describe('a worker that ends', () => {
  let server: FuseServer;
  let client: Client;

  beforeEach(() => {
    server = new FuseServer();
  });

  afterEach(async () => {
    server.stop();
    await client.kill();
  });

  it('lets its grafted thread go, with EINTR', async () => {
    const asked = new Promise<Ioctl>((resolve) => {
      server.onIoctl = resolve;
    });
    client = new Client(compile('graft'), [server.file, 'plain']);
    const ioctl = await asked;
    const body = `
      const { parentPort, workerData } = require('worker_threads');
      const n = require(workerData.addon);
      n.graftBegin(workerData.tid).then(async (graft) => {
        parentPort.postMessage('begun');
        parentPort.postMessage(await graft.openat(workerData.fd, 2));
        globalThis.graft = graft;
        setInterval(() => {}, 1000);
      });`;
    const workerData = { addon, tid: ioctl.tid, fd: Number(ioctl.argument) };
    const worker = new Worker(body, { eval: true, workerData });
    const message = () => new Promise((resolve) => worker.once('message', resolve));
    expect(await message()).toBe('begun');
    server.answer(ioctl.unique, 0);
    expect(await message()).toBeGreaterThan(2);
    await worker.terminate();
    expect(await client.line()).toBe(`-${EINTR} - blocked=0`);
    expect(await client.exited).toEqual({ code: 0, signal: null });
    expect(native().counts().grafts).toBe(0);
  });

  it('frees what it held, whatever was under way', async () => {
    const before = native().counts();
    client = await MemoryClient.start();
    const { areas } = client as MemoryClient;
    const body = `
      const { parentPort, workerData } = require('worker_threads');
      const n = require(workerData.addon);
      const memory = n.map(n.memfd('m', 4096), 0, 4096);
      const watcher = n.watch(memory, [{ offset: 0, width: 4 }], () => {});
      watcher.start();
      const handle = n.openProcess(workerData.pid);
      handle.onExit(() => {});
      n.eventfdListen(handle.getFd(workerData.event), () => {});
      globalThis.everything = [memory, watcher, handle];
      const channel = n.createChannel(n.openFuse(), 8192);
      channel.start(() => {}, () => {});
      handle.pin(workerData.shared, 4096, true, 1000).then((pin) => {
        globalThis.pin = pin;
        for (let i = 0; i < 8; i++) handle.readBlocking(workerData.private, Buffer.alloc(8), 1000).catch(() => {});
        parentPort.postMessage('ready');
      });`;
    const workerData = { addon, pid: client.pid, ...areas };
    const worker = new Worker(body, { eval: true, workerData });
    await new Promise((resolve) => worker.once('message', resolve));
    expect(native().counts()).toMatchObject({ pins: before.pins + 1, watchers: before.watchers + 1 });
    await worker.terminate();
    // Threads that were reading let go a little later.
    while (native().counts().processes > before.processes)
      await new Promise((resolve) => setImmediate(resolve));
    expect(native().counts()).toEqual(before);
  });
});
