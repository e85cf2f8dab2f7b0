import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createMemfsVolume } from '../../src/transports/memfs/index.js';
import { Dispatcher } from '../../src/vfs/dispatch.js';
import { directory, file, SampleTree } from '../conformance/tree.js';

function volume() {
  const tree = new SampleTree();
  const running = createMemfsVolume(tree.root, new Dispatcher());
  return { tree, running, fs: running.fs };
}

describe('the synchronous API of a memfs volume', () => {
  it('refuses as Node does: code, negative errno, syscall, path', () => {
    const { fs } = volume();
    expect(() => fs.readFileSync('/nowhere')).toThrow(
      expect.objectContaining({ code: 'ENOENT', errno: -2, syscall: 'open', path: '/nowhere' }),
    );
    expect(() => fs.writeFileSync('/text', 'x')).toThrow(
      expect.objectContaining({ code: 'EACCES', errno: -13, syscall: 'open', path: '/text' }),
    );
    expect(() => fs.writeFileSync('/command', 'absent')).toThrow(
      expect.objectContaining({ code: 'ENODEV', errno: -19, syscall: 'write', path: '/command' }),
    );
    expect(() => fs.mkdirSync('/a/b', { recursive: true })).toThrow(
      expect.objectContaining({ code: 'EPERM' }),
    );
    expect(() => fs.rmSync('/deep', { recursive: true })).toThrow(expect.objectContaining({ code: 'EPERM' }));
    expect(fs.existsSync('/nowhere')).toBe(false);
    expect(fs.statSync('/nowhere', { throwIfNoEntry: false })).toBeUndefined();
  });

  it('reads the tree as it is now', () => {
    const { fs, tree } = volume();
    expect(fs.readFileSync('/text', 'utf8')).toBe('0x8086\n');
    expect(fs.readFileSync('/long', 'utf8')).toHaveLength(10_000);
    expect(fs.readdirSync('/volatile')).toEqual([]);
    tree.present.add('5');
    expect(fs.readdirSync('/volatile')).toEqual(['5']);
    expect(fs.existsSync('/volatile/5')).toBe(true);
    expect(fs.readlinkSync('/links/up')).toBe('../text');
    expect(fs.realpathSync('/links/directory/est')).toBe('/deep/er/est');
    expect(fs.lstatSync('/links/up').isSymbolicLink()).toBe(true);
    expect(fs.statSync('/links/up')).toMatchObject({ mode: 0o100444, size: 4096 });
    const open = fs.opendirSync('/deep');
    expect(open.readSync()?.name).toBe('er');
    open.closeSync();
  });

  it('writes to the tree', () => {
    const { fs, tree } = volume();
    fs.writeFileSync('/override', 'vfio-pci\n');
    expect(tree.override).toBe('vfio-pci\n');
    fs.appendFileSync('/command', 'more');
    expect(tree.commands).toEqual(['more']);
    const fd = fs.openSync('/config', 'r+');
    fs.writeSync(fd, Buffer.from([1, 2]), 0, 2, 0x10);
    expect([...tree.config.subarray(0x10, 0x12)]).toEqual([1, 2]);
    fs.closeSync(fd);
    expect(tree.open).toBe(0);
  });

  it('fails with EAGAIN on an operation that waits, which goes on', async () => {
    const { fs, tree } = volume();
    expect(() => fs.writeFileSync('/slow', 'go')).toThrow(
      expect.objectContaining({ code: 'EAGAIN', errno: -11 }),
    );
    expect(tree.open).toBe(1); // released when the write has ended, as close() would not stop it
    tree.finishSlow();
    await setImmediate();
    expect(tree.commands).toEqual(['go']);
    expect(tree.open).toBe(0);
  });

  it('releases what opened too late for a synchronous open', async () => {
    const { fs, tree } = volume();
    expect(() => fs.openSync('/late', 'r')).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
    tree.finishSlow();
    await setImmediate();
    expect(tree.open).toBe(0);
  });
});

describe('the asynchronous API of a memfs volume', () => {
  it('waits', async () => {
    const { fs, tree } = volume();
    const write = fs.promises.writeFile('/slow', 'go');
    await tree.slowBegun();
    tree.finishSlow();
    await write;
    expect(tree.commands).toEqual(['go']);
  });

  it('works with callbacks', async () => {
    const { fs, tree } = volume();
    const fd = await new Promise<number>((done, fail) =>
      fs.open('/slow', 'w', (error, opened) => (error ? fail(error) : done(opened as number))),
    );
    const written = new Promise<number>((done, fail) =>
      fs.write(fd, Buffer.from('go'), (error, count) => (error ? fail(error) : done(count))),
    );
    await tree.slowBegun();
    tree.finishSlow();
    expect(await written).toBe(2);
    fs.closeSync(fd);
    await expect(
      new Promise((done, fail) =>
        fs.readFile('/command', (error, text) => (error ? fail(error) : done(text))),
      ),
    ).rejects.toMatchObject({ code: 'EACCES' });
    expect(() => fs.open('/text', 'r', undefined as never)).toThrow(TypeError);
  });

  it('streams', async () => {
    const { fs, tree } = volume();
    const parts: Buffer[] = [];
    for await (const part of fs.createReadStream('/long')) parts.push(part as Buffer);
    expect(Buffer.concat(parts)).toHaveLength(10_000);
    const sink = fs.createWriteStream('/override');
    await new Promise<void>((done, fail) => {
      sink.on('error', fail);
      sink.on('close', () => done());
      sink.end('by stream\n');
    });
    expect(tree.override).toBe('by stream\n');
    expect(tree.open).toBe(0);
  });

  it('reads and writes through descriptors of its own', async () => {
    const { fs, tree } = volume();
    const handle = await fs.promises.open('/override', 'r+');
    await handle.writeFile('one\n');
    expect(tree.override).toBe('one\n');
    expect((await handle.read(Buffer.alloc(8), 0, 8, 0)).bytesRead).toBe(4);
    await handle.close();
    expect(tree.open).toBe(0);
  });
});

describe('a memfs volume', () => {
  it('serves many trees as folders of one', () => {
    const sys = new SampleTree();
    const { fs } = createMemfsVolume(directory({ sys: sys.root, dev: directory({}) }), new Dispatcher());
    expect(fs.readFileSync('/sys/text', 'utf8')).toBe('0x8086\n');
    expect(fs.readdirSync('/dev')).toEqual([]);
  });

  it('calls as root of the pretend machine', () => {
    const { fs, tree } = volume();
    fs.readFileSync('/whoami');
    expect(tree.callers[0]).toMatchObject({ uid: 0, gid: 0 });
    expect(tree.callers[0]?.capable('SYS_ADMIN')).toBe(true);
  });

  it('asks for attributes anew, on open files too', () => {
    let size = 1;
    const grows = () => file({ mode: 0o444, size, open: () => ({}) });
    const { fs } = createMemfsVolume(directory({ grows }), new Dispatcher());
    expect(fs.statSync('/grows').size).toBe(1);
    size = 2;
    expect(fs.statSync('/grows').size).toBe(2);
  });

  it('releases what the program left open when stopped, and leaves the real fs alone', async () => {
    const { fs, tree, running } = volume();
    fs.openSync('/command', 'w');
    expect(tree.open).toBe(1);
    await running.stop();
    await running.stop();
    await running.closed;
    expect(tree.open).toBe(0);
    expect(readFileSync('/proc/self/comm', 'utf8')).not.toBe('');
  });
});
