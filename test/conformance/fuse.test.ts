import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fuseTransport, type RunningFuse } from '../../src/transports/fuse-mount.js';
import { Dispatcher } from '../../src/vfs/dispatch.js';
import { Poll } from '../../src/vfs/node.js';
import { worksHere } from '../transports/works-here.js';
import { Command, KernelTree } from './fuse-kernel.js';
import { mounted } from './mounted.js';
import { buildProbe, probe, startProbe } from './probe.js';
import { type RemoteProgram, remoteProgram } from './remote-program.js';
import { conformance } from './suite.js';
import { SampleTree } from './tree.js';

if (await worksHere('fuse')) {
  conformance(mounted(fuseTransport));
  kernel();
}

function kernel(): void {
  describe('fuse serves', () => {
    const sample = new SampleTree();
    let tree: KernelTree;
    let directory: string;
    let running: RunningFuse;
    let remote: RemoteProgram;
    const at = (name: string) => join(directory, name);

    beforeAll(async () => {
      buildProbe();
      tree = new KernelTree(sample);
      directory = await mkdtemp(join(tmpdir(), 'vfiofs-conformance-'));
      running = await fuseTransport.serve(tree.root, new Dispatcher(), directory);
      remote = remoteProgram(directory);
    });
    afterAll(async () => {
      await remote?.stop();
      await running?.stop();
      tree?.close();
      await rmdir(directory);
    });

    /** Repeats round trips to the daemon until `done`: what happens behind a client's back (release, forget) takes a few. */
    async function until(done: () => boolean): Promise<void> {
      for (let round = 0; !done() && round < 2000; round++) await remote.program.stat('/');
      expect(done()).toBe(true);
    }

    describe('ioctl', () => {
      it('refuses', async () => {
        expect(await probe('ioctl', at('plain'), Command.add, 1)).toBe('errno ENOTTY');
        expect(await probe('ioctl', at('control'), 0x3bff, 1)).toBe('errno ENOTTY');
        expect(await probe('ioctl', at('control'), Command.refuse, 1)).toBe('errno EDEADLK');
        expect(await probe('ioctl-integer', at('control'), Command.add, '0x1000')).toBe('errno EFAULT');
        expect(await probe('ioctl-integer', at('control'), Command.add, '0xffffffffffffff00')).toBe(
          'errno EFAULT',
        );
      });

      it("reads and writes the caller's memory, and gives positive results", async () => {
        expect(await probe('ioctl', at('control'), Command.add, '0x123456789abcdef0')).toBe(
          'result 7 0x123456789abcdef1',
        );
        expect(await probe('ioctl-integer', at('control'), Command.integer, 12345)).toBe('result 12345');
      });
    });

    describe('interrupt', () => {
      it('ends a waiting ioctl with EINTR', async () => {
        const begun = sample.slowBegun();
        const client = startProbe('wait', at('control'), Command.wait);
        expect(await client.line()).toBe('waiting');
        await begun;
        client.child.kill('SIGUSR1');
        expect(await client.rest()).toEqual(['errno EINTR']);
        expect(tree.interrupts).toBe(1);
        sample.finishSlow();
      });

      it('lets a killed client go', async () => {
        const begun = sample.slowBegun();
        const client = startProbe('wait', at('control'), Command.wait);
        expect(await client.line()).toBe('waiting');
        await begun;
        client.child.kill('SIGKILL');
        await expect(client.rest()).rejects.toThrow('SIGKILL');
        sample.finishSlow();
        await until(() => tree.opens === 0);
      });
    });

    describe('poll', () => {
      it('wakes a waiting client', async () => {
        tree.ready = false;
        const client = startProbe('poll', at('queue'));
        expect(await client.line()).toBe('now 0');
        // The kernel asks again, this time to be woken, before it sleeps.
        await until(() => tree.pollers >= 2);
        tree.wake();
        expect(await client.rest()).toEqual([`then ${Poll.IN}`]);
      });

      it('answers at once when there is something', async () => {
        tree.ready = true;
        expect(await probe('poll', at('queue'))).toBe(`now ${Poll.IN}`);
        expect(await probe('poll', at('plain'))).toBe('now 1');
      });
    });

    describe('mmap', () => {
      it('is ENODEV without a backing', async () => {
        expect(await probe('map', at('plain'), 0, 1)).toBe('errno ENODEV');
      });

      it('shares memory with the daemon', async ({ skip }) => {
        const features = await running.session.ready;
        if (!features.passthrough) skip(features.why ?? 'no passthrough');
        tree.memory.buffer.writeUInt32LE(0xcafe, 0x3000);
        expect(await probe('map', at('region'), 0x3000, '0x1234')).toBe('read 0xcafe\nstored');
        expect(tree.memory.buffer.readUInt32LE(0x3004)).toBe(0x1234);
      });

      it('maps memory, and reads by asking the daemon', async ({ skip }) => {
        const features = await running.session.ready;
        if (!features.passthrough) skip(features.why ?? 'no passthrough');
        tree.memory.buffer.writeUInt32LE(0xcafe, 0);
        expect(await probe('map-pread', at('region'), 0)).toBe('mapped 0xcafe pread 0x7eadbeef');
      });
    });

    describe('descriptors as results', () => {
      it('appear in the caller, close-on-exec', async () => {
        expect(await probe('descriptor', at('control'), Command.open)).toBe('fd 4 cloexec 1 text grafted');
        expect(await probe('two-descriptors', at('control'), Command.open)).toBe('fds 4 5');
        await until(() => tree.opens === 0);
      });

      it('may come late', async () => {
        const begun = sample.slowBegun();
        const client = startProbe('descriptor', at('control'), Command.slowOpen);
        await begun;
        sample.finishSlow();
        expect(await client.rest()).toEqual(['fd 4 cloexec 1 text late']);
      });

      it('are EMFILE where the table is full, and then released', async () => {
        expect(await probe('descriptor-full', at('control'), Command.open)).toBe('errno EMFILE');
        await until(() => tree.opens === 0);
      });
    });

    describe('callers', () => {
      it('are known by uid, gid and capabilities', async () => {
        tree.callers.length = 0;
        expect(await probe('as', 1234, 4321, at('text'))).toBe('opened');
        expect(tree.callers[0]).toMatchObject({ uid: 1234, gid: 4321 });
        await remote.program.readFile('/text');
        expect(tree.callers[1]).toMatchObject({ uid: process.getuid?.(), gid: process.getgid?.() });
        expect(tree.callers[1]?.capable('SYS_ADMIN')).toBe(true);
      });
    });

    describe('caches', () => {
      it('are emptied by invalidation', async () => {
        const { session } = running;
        sample.present.add('fixed');
        await session.cache.forgetTree('/volatile', 'fixed');
        await remote.program.stat('/volatile/fixed');
        sample.present.delete('fixed');
        await remote.program.stat('/volatile/fixed'); // not volatile, so the kernel may still believe in it
        await session.cache.forgetTree('/volatile', 'fixed');
        await expect(remote.program.stat('/volatile/fixed')).rejects.toMatchObject({ code: 'ENOENT' });
      });
    });

    describe('forget', () => {
      it('drops nodes that nobody refers to', async () => {
        const { session } = running;
        const grown = new SampleTree();
        const elsewhere = await mkdtemp(join(tmpdir(), 'vfiofs-conformance-'));
        const other = await fuseTransport.serve(grown.root, new Dispatcher(), elsewhere);
        const client = remoteProgram(elsewhere);
        try {
          const start = other.session.nodes.size;
          for (let i = 0; i < 100; i++)
            await client.program.stat(`/big/function-${String(i).padStart(4, '0')}`);
          expect(other.session.nodes.size).toBeGreaterThan(start + 100);
          for (let i = 0; i < 100; i++)
            await other.session.cache.forgetTree('/big', `function-${String(i).padStart(4, '0')}`);
          await other.session.cache.forgetTree('', 'big');
          for (let round = 0; other.session.nodes.size > start && round < 2000; round++)
            await client.program.stat('/');
          expect(other.session.nodes.size).toBe(start);
        } finally {
          await client.stop();
          await other.stop();
          await rmdir(elsewhere);
        }
        expect(session.counts().requests).toBe(0);
      });
    });

    it('has released every file at the end', async () => {
      await until(() => tree.opens === 0 && running.session.counts().files === 0);
    });
  });
}
