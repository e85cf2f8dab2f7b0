/** One suite, run over every transport. What a transport lacks is skipped by name, with its reason. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { features, gap } from '../../src/transports/contract.js';
import { Dispatcher, type Observer } from '../../src/vfs/dispatch.js';
import type { Adapter, Running } from './adapter.js';
import type { Program } from './program.mjs';
import { SampleTree } from './tree.js';

/** Every gap as a skipped test with its reason, so that a report names them all. */
function lacking(transport: Adapter['transport']): void {
  describe(`${transport.name} lacks`, () => {
    for (const { what, why } of transport.lacks) it(what, ({ skip }) => skip(why));
    it('nothing else', () =>
      expect(transport.lacks.map((row) => row.what)).toEqual(
        features.filter((what) => gap(transport, what)),
      ));
  });
}

export function conformance(adapter: Adapter): void {
  describe(`${adapter.transport.name} serves a tree`, () => {
    const tree = new SampleTree();
    const bugs: unknown[] = [];
    const observer: Observer = { begin: () => undefined, bug: (_operation, error) => bugs.push(error) };
    let running: Running;
    let program: Program;

    beforeAll(async () => {
      running = await adapter.start(tree, new Dispatcher([observer]));
      program = running.program;
    });
    afterAll(() => running?.stop());

    const fails = (promise: Promise<unknown>, code: string) =>
      expect(promise).rejects.toMatchObject({ code });

    describe('names', () => {
      it('refuses what is not there, and a file used as a directory', async () => {
        await fails(program.stat('/nowhere'), 'ENOENT');
        await fails(program.stat('/nowhere/at/all'), 'ENOENT');
        await fails(program.stat('/text/below'), 'ENOTDIR');
        await fails(program.readdir('/nowhere'), 'ENOENT');
        await fails(program.readdir('/text'), 'ENOTDIR');
        await fails(program.readlink('/text'), 'EINVAL');
      });

      it('refuses every change of the tree', async () => {
        await fails(program.writeFile('/fresh', 'x'), 'EACCES');
        await fails(program.open('/fresh', 'wx'), 'EACCES');
        await fails(program.open('/text', 'wx'), 'EEXIST');
        await fails(program.mkdir('/fresh'), 'EPERM');
        await fails(program.symlink('text', '/fresh'), 'EPERM');
        await fails(program.link('/text', '/fresh'), 'EPERM');
        await fails(program.unlink('/text'), 'EPERM');
        await fails(program.rmdir('/deep'), 'EPERM');
        await fails(program.rename('/text', '/fresh'), 'EPERM');
        expect(await program.readFile('/text')).toBe('0x8086\n');
      });

      it('lists directories', async () => {
        expect(await program.readdir('/')).toEqual([...tree.root.names()].sort());
        expect(await program.kinds('/links')).toEqual(['dangling:l', 'directory:l', 'loop:l', 'up:l']);
        expect(await program.kinds('/deep')).toEqual(['er:d']);
      });

      it('lists 5,000 names', async () => {
        const names = await program.readdir('/big');
        expect(names).toHaveLength(5000);
        expect(new Set(names).size).toBe(5000);
        expect(await program.readFile('/big/function-4999')).toBe('4999\n');
      });
    });

    describe('attributes', () => {
      it('shows kind, mode and size', async () => {
        expect(await program.stat('/text')).toMatchObject({
          kind: 'file',
          mode: 0o444,
          size: 4096,
          nlink: 1,
          uid: 0,
          gid: 0,
        });
        expect(await program.stat('/config')).toMatchObject({ kind: 'file', mode: 0o644, size: 256 });
        expect(await program.stat('/deep')).toMatchObject({ kind: 'directory', mode: 0o755, nlink: 2 });
        expect(await program.stat('/')).toMatchObject({ kind: 'directory', mode: 0o755 });
        expect(await program.stat('/device')).toMatchObject({ kind: 'file', mode: 0o660, size: 0 });
      });

      it('takes chmod and changes nothing', async () => {
        await program.chmod('/text', 0o777);
        expect(await program.stat('/text')).toMatchObject({ mode: 0o444 });
      });

      it('gives a path one inode, and another object under the same name another one', async () => {
        const first = await program.stat('/reborn');
        expect((await program.stat('/reborn')).ino).toBe(first.ino);
        expect((await program.stat('/text')).ino).not.toBe(first.ino);
        [tree.incarnation, tree.size] = [{}, 17];
        const next = await program.stat('/reborn');
        expect([next.ino === first.ino, next.size]).toEqual([false, 17]);
      });
    });

    describe('symlinks', () => {
      it('shows the link, and what it leads to', async () => {
        expect(await program.readlink('/links/up')).toBe('../text');
        expect(await program.lstat('/links/up')).toMatchObject({ kind: 'symlink', mode: 0o777 });
        expect(await program.stat('/links/up')).toMatchObject({ kind: 'file', mode: 0o444 });
        expect(await program.readFile('/links/up')).toBe('0x8086\n');
        expect(await program.readFile('/links/directory/back/directory/est')).toBe('here\n');
        expect(await program.realpath('/links/directory/back/up')).toBe('/text');
        expect(await program.realpath('/links/directory/est')).toBe('/deep/er/est');
      });

      it('refuses links that lead nowhere', async () => {
        await fails(program.stat('/links/dangling'), 'ENOENT');
        await fails(program.readFile('/links/dangling'), 'ENOENT');
        await fails(program.stat('/links/loop'), 'ELOOP');
        expect(await program.lstat('/links/loop')).toMatchObject({ kind: 'symlink' });
      });
    });

    describe('reading', () => {
      it('ends where the content ends, whatever the size says', async () => {
        expect(await program.readFile('/text')).toBe('0x8086\n');
        expect(await program.readFile('/empty')).toBe('');
        expect(await program.stream('/text')).toBe('0x8086\n');
      });

      it('goes on past the size, and at offsets', async () => {
        const long = 'abcdefghij'.repeat(1000);
        expect((await program.stream('/long')) === long).toBe(true);
        const handle = await program.open('/long', 'r');
        expect(await program.read(handle, 5, 4095)).toBe(long.slice(4095, 4100));
        expect(await program.read(handle, 20, 9990)).toBe(long.slice(9990));
        expect(await program.read(handle, 20, 10000)).toBe('');
        expect(await program.read(handle, 20, 99999)).toBe('');
        expect(await program.read(handle, 3, null)).toBe('abc');
        expect(await program.read(handle, 3, null)).toBe('def');
        await program.close(handle);
      });

      it('asks the tree each time', async () => {
        const first = Number(await program.readFile('/counter'));
        expect(Number(await program.readFile('/counter'))).toBeGreaterThan(first);
        const handle = await program.open('/counter', 'r');
        const again = Number(await program.read(handle, 16, 0));
        expect(Number(await program.read(handle, 16, 0))).toBe(again + 1);
        await program.close(handle);
      });

      it('gives binary attributes byte for byte', async () => {
        const handle = await program.open('/config', 'r');
        expect(await program.read(handle, 4, 0xfc)).toBe('\xfc\xfd\xfe\xff');
        expect(await program.read(handle, 8, 0xfe)).toBe('\xfe\xff');
        expect(await program.read(handle, 4, 0x100)).toBe('');
        await program.close(handle);
        expect((await program.readFile('/config')).length).toBe(256);
      });

      it('passes refusals on', async () => {
        await fails(program.open('/command', 'r'), 'EACCES');
        await fails(program.open('/command', 'r+'), 'EACCES');
        await fails(program.readFile('/busy'), 'EBUSY');
        await fails(program.readFile('/unreadable'), 'EINVAL');
        await fails(program.readFile('/deep'), 'EISDIR');
      });

      it('gives ENODEV on an open file whose object went away', async () => {
        const handle = await program.open('/object', 'r');
        expect(await program.read(handle, 16, 0)).toBe('alive\n');
        tree.removed = true;
        await fails(program.read(handle, 16, 0), 'ENODEV');
        await program.close(handle);
        tree.removed = false;
      });

      it('turns a bug of ours into EIO, and tells', async () => {
        bugs.length = 0;
        await fails(program.readFile('/broken'), 'EIO');
        expect(bugs[0]).toBeInstanceOf(TypeError);
      });
    });

    describe('writing', () => {
      it('refuses, for root too', async () => {
        await fails(program.open('/text', 'r+'), 'EACCES');
        await fails(program.writeFile('/text', 'x'), 'EACCES');
        await fails(program.writeFile('/command', 'bad'), 'EINVAL');
        await fails(program.writeFile('/command', 'absent\n'), 'ENODEV');
        await fails(program.writeFile('/deep', 'x'), 'EISDIR');
        expect(tree.commands).toEqual([]);
      });

      it('hands each write over as one command, wherever it lands', async () => {
        tree.commands.length = 0;
        await program.writeFile('/command', '0000:00:04.0\n');
        await program.append('/command', 'appended\n');
        const handle = await program.open('/command', 'a');
        expect(await program.write(handle, 'one\n', null)).toBe(4);
        expect(await program.write(handle, 'two', null)).toBe(3);
        await program.close(handle);
        expect(tree.commands).toEqual(['0000:00:04.0', 'appended', 'one', 'two']);
        tree.commands.length = 0;
      });

      it('keeps a command of several pages in one piece', async () => {
        const command = 'x'.repeat(10_000);
        await program.writeFile('/command', command);
        expect(tree.commands).toEqual([command]);
        tree.commands.length = 0;
      });

      it('shows what was written, and truncates nothing', async () => {
        await program.writeFile('/override', 'vfio-pci\n');
        expect(await program.readFile('/override')).toBe('vfio-pci\n');
        await program.truncate('/override', 0);
        expect(await program.readFile('/override')).toBe('vfio-pci\n');
        await program.writeFile('/override', '\n');
        expect(await program.readFile('/override')).toBe('(null)\n');
      });

      it('writes binary attributes at offsets', async () => {
        const handle = await program.open('/config', 'r+');
        expect(await program.write(handle, '\xaa\xbb', 0x40)).toBe(2);
        expect(await program.read(handle, 4, 0x3f)).toBe('\x3f\xaa\xbb\x42');
        await fails(program.write(handle, 'x', 0x100), 'EFBIG');
        await program.close(handle);
        expect(tree.config.subarray(0x40, 0x42).toString('hex')).toBe('aabb');
      });
    });

    describe('waiting', () => {
      it('holds the writer until the operation ends, and nobody else', async () => {
        const begun = tree.slowBegun();
        let ended = false;
        const write = program.writeFile('/slow', 'go').then(() => {
          ended = true;
        });
        await begun;
        expect(await program.readFile('/text')).toBe('0x8086\n');
        expect(ended).toBe(false);
        tree.finishSlow();
        await write;
        expect(tree.commands).toEqual(['go']);
        tree.commands.length = 0;
      });

      it('gives the errno that comes late', async () => {
        const begun = tree.slowBegun();
        const write = program.writeFile('/slow', 'bad');
        write.catch(() => {});
        await begun;
        tree.finishSlow();
        await fails(write, 'EINVAL');
      });

      it('opens late', async () => {
        const begun = tree.slowBegun();
        const opening = program.open('/late', 'r');
        await begun;
        tree.finishSlow();
        const handle = await opening;
        expect(await program.read(handle, 16, 0)).toBe('late\n');
        await program.close(handle);
      });
    });

    describe('volatile entries', () => {
      it('appear and vanish between two calls', async () => {
        await fails(program.stat('/volatile/5'), 'ENOENT');
        tree.present.add('5');
        expect(await program.readFile('/volatile/5')).toBe('5\n');
        expect(await program.readdir('/volatile')).toEqual(['5']);
        tree.present.delete('5');
        await fails(program.stat('/volatile/5'), 'ENOENT');
        expect(await program.readdir('/volatile')).toEqual([]);
        tree.present.add('5');
        expect(await program.readFile('/volatile/5')).toBe('5\n');
      });

      it('may become something else', async () => {
        for (const kind of ['file', 'symlink', 'directory', 'file'] as const) {
          tree.shape = kind;
          expect(await program.lstat('/shape')).toMatchObject({ kind });
        }
        expect(await program.readFile('/shape')).toBe('a file\n');
      });
    });

    it('has released every file it opened', async () => {
      // Release follows the last close without the closer waiting for it; another round trip is behind it.
      for (let round = 0; tree.open > 0 && round < 1000; round++) await program.readFile('/text');
      expect(tree.open).toBe(0);
    });
  });
  lacking(adapter.transport);
}
