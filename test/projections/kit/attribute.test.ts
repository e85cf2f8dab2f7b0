import { describe, expect, it } from 'vitest';
import { binaryNode, type Place, textNode } from '../../../src/projections/kit/attribute.js';
import { Owners } from '../../../src/projections/kit/owners.js';
import type { FileNode, OpenFile } from '../../../src/vfs/node.js';
import { errno, root } from '../machine.js';

const changed: string[] = [];
const owners = new Owners((path) => changed.push(path));
const standing = (alive: () => boolean, object = {}): Place => ({ path: 'sys/x', alive, object, owners });
const gone = standing(() => false);
const place = standing(() => true);
const openWith = (node: FileNode, how: 'r' | 'w' | 'rw') =>
  node.open({ flags: 0, reads: how !== 'w', writes: how !== 'r' }, root) as OpenFile;
const bytes = (value: unknown) => Buffer.from(value as Uint8Array).toString();

describe('a text attribute', () => {
  it('refuses what its mode grants nobody', () => {
    const reading = textNode({ show: () => 'a' }, place);
    const writing = textNode({ store: () => {} }, place);
    expect(reading.attributes()).toEqual({ mode: 0o444, size: 4096 });
    expect(writing.attributes()).toEqual({ mode: 0o200, size: 4096 });
    for (const how of ['w', 'rw'] as const) expect(() => openWith(reading, how)).toThrow(errno('EACCES'));
    for (const how of ['r', 'rw'] as const) expect(() => openWith(writing, how)).toThrow(errno('EACCES'));
  });

  it('keeps the mode and owner that it was given as long as its object is the same, and opens by that mode', () => {
    const object = {};
    const node = () =>
      textNode(
        { show: () => 'a' },
        standing(() => true, object),
      );
    node().own!({ mode: 0o4222, ctime: 1n });
    node().own!({ uid: 7, gid: 8 });
    expect(changed).toEqual(['sys/x', 'sys/x']);
    expect(node().attributes()).toEqual({
      ...{ atime: 1n, mtime: 1n, ctime: 1n },
      mode: 0o4222,
      uid: 7,
      gid: 8,
      size: 4096,
    });
    expect(() => openWith(node(), 'r')).toThrow(errno('EACCES'));
    expect(() => openWith(node(), 'w').write!(0n, Buffer.from('x'), root)).toThrow(errno('EIO'));
    expect(
      textNode(
        { show: () => 'a' },
        standing(() => true),
      ).attributes(),
    ).toEqual({ mode: 0o444, size: 4096 });
  });

  it('is ENODEV once its object has gone: at open, and on files still open', () => {
    expect(() => openWith(textNode({ show: () => 'a' }, gone), 'r')).toThrow(errno('ENODEV'));
    let alive = true;
    const file = openWith(
      textNode(
        { show: () => 'a', store: () => {} },
        standing(() => alive),
      ),
      'rw',
    );
    expect(bytes(file.read!(0n, 10, root))).toBe('a\n');
    alive = false;
    expect(() => file.read!(0n, 10, root)).toThrow(errno('ENODEV'));
    expect(() => file.write!(0n, Buffer.from('x'), root)).toThrow(errno('ENODEV'));
  });

  it('makes its content at the first read and again at offset 0, and cuts slices out of it in between', () => {
    let made = 0;
    const node = textNode({ show: () => `value ${++made}` }, place);
    const file = openWith(node, 'r');
    expect(made).toBe(0);
    expect(bytes(file.read!(6n, 100, root))).toBe('1\n');
    expect(bytes(file.read!(2n, 3, root))).toBe('lue');
    expect(bytes(file.read!(8n, 100, root))).toBe('');
    expect(bytes(file.read!(2n ** 62n, 100, root))).toBe('');
    expect(made).toBe(1);
    expect(bytes(file.read!(0n, 100, root))).toBe('value 2\n');
    expect(bytes(openWith(node, 'r').read!(0n, 100, root))).toBe('value 3\n');
  });

  it('shows at most 4095 bytes, lines as they are, and nothing for no lines', () => {
    const content = (shown: string | string[]) =>
      bytes(openWith(textNode({ show: () => shown }, place), 'r').read!(0n, 9999, root));
    expect(content('x'.repeat(5000))).toHaveLength(4095);
    expect(content(['a', 'b'])).toBe('a\nb\n');
    expect(content([])).toBe('');
  });

  it('takes each write for one command, whatever the offset, and at most a page of it', () => {
    const commands: string[] = [];
    const file = openWith(textNode({ store: (text) => void commands.push(text) }, place), 'w');
    expect(file.write!(0n, Buffer.alloc(0), root)).toBe(0);
    expect(file.write!(100n, Buffer.from('one\n'), root)).toBe(4);
    expect(file.write!(0n, Buffer.from([0]), root)).toBe(1);
    expect(file.write!(0n, Buffer.alloc(5000, 'y'), root)).toBe(4096);
    expect(commands).toEqual(['one\n', '\0', 'y'.repeat(4096)]);
  });

  it('waits for a command that waits', async () => {
    let finish = () => {};
    const file = openWith(
      textNode({ store: () => new Promise<void>((resolve) => (finish = resolve)) }, place),
      'w',
    );
    let count: number | undefined;
    const done = Promise.resolve(file.write!(0n, Buffer.from('go'), root)).then((result) => (count = result));
    await Promise.resolve();
    expect(count).toBeUndefined();
    finish();
    await done;
    expect(count).toBe(2);
  });
});

describe('a binary attribute', () => {
  const memory = Buffer.alloc(10);
  const node = binaryNode(
    {
      mode: 0o600,
      size: 10,
      read: (offset, length) => memory.subarray(offset, offset + length),
      write: (offset, data) => void data.copy(memory, offset),
    },
    place,
  );

  it('refuses writes at or behind its end with EFBIG, and clips those across it', () => {
    const file = openWith(node, 'rw');
    expect(() => file.write!(10n, Buffer.from('x'), root)).toThrow(errno('EFBIG'));
    expect(() => file.write!(2n ** 40n, Buffer.from('x'), root)).toThrow(errno('EFBIG'));
    expect(file.write!(8n, Buffer.from('abcd'), root)).toBe(2);
    expect(file.write!(3n, Buffer.alloc(0), root)).toBe(0);
    expect(bytes(file.read!(7n, 100, root))).toBe('\0ab');
    expect(bytes(file.read!(10n, 100, root))).toBe('');
  });

  it('moves at most a page per call', () => {
    const big = binaryNode(
      { mode: 0o600, size: 10000, read: (_, length) => Buffer.alloc(length), write: () => {} },
      place,
    );
    const file = openWith(big, 'rw');
    expect((file.read!(0n, 8192, root) as Uint8Array).length).toBe(4096);
    expect(file.write!(0n, Buffer.alloc(8192), root)).toBe(4096);
  });

  it('without read or write is for mmap: EIO', () => {
    let released = 0;
    const backing = { fd: 7, release: () => void released++ };
    const file = openWith(binaryNode({ mode: 0o600, size: 16, backing: () => backing }, place), 'rw');
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EIO'));
    expect(() => file.write!(0n, Buffer.alloc(4), root)).toThrow(errno('EIO'));
    expect([file.backing, released]).toEqual([backing, 0]);
    file.release!();
    expect(released).toBe(1);
  });
});
