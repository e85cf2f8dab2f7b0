import { describe, expect, it } from 'vitest';
import { NodeTable } from '../../../src/transports/fuse/node-table.js';
import type { DirectoryNode, FileNode } from '../../../src/vfs/node.js';

const directory = (key?: unknown): DirectoryNode => ({
  kind: 'directory',
  key,
  attributes: () => ({ mode: 0o755 }),
  lookup: () => undefined,
  names: () => [],
});
const file = (key?: unknown): FileNode => ({
  kind: 'file',
  key,
  attributes: () => ({ mode: 0o444 }),
  open: () => ({}),
});

describe('NodeTable', () => {
  it('keeps the id of a name whose key stays', () => {
    const table = new NodeTable(directory());
    const root = table.get(1)!;
    const model = {};
    expect(table.remember(root, 'a', file(model)).id).toBe(table.remember(root, 'a', file(model)).id);
  });

  it('gives another id when another object has the name, or another kind of node', () => {
    const table = new NodeTable(directory());
    const root = table.get(1)!;
    const first = table.remember(root, 'a', directory({}));
    const second = table.remember(root, 'a', directory({}));
    expect(second.id).not.toBe(first.id);
    expect(table.remember(root, 'a', file()).id).not.toBe(second.id);
    expect(table.get(first.id)).toBe(first); // still referenced by the kernel
  });

  it('forgets after as many forgets as lookups, and returns to its first size', () => {
    const table = new NodeTable(directory());
    const root = table.get(1)!;
    const a = table.remember(root, 'a', directory());
    table.remember(root, 'a', directory());
    const b = table.remember(a, 'b', file());
    expect(b.path).toBe('/a/b');
    table.forget(b.id, 1);
    table.forget(a.id, 1);
    expect(table.find('/a')).toBe(a);
    table.forget(a.id, 1);
    expect(table.find('/a')).toBeUndefined();
    expect(table.size).toBe(1);
  });

  it('ignores forgets of the root and of ids it never gave', () => {
    const table = new NodeTable(directory());
    table.forget(1, 100);
    table.forget(4711, 1);
    expect(table.size).toBe(1);
  });

  it('a late forget of a replaced id leaves its successor alone', () => {
    const table = new NodeTable(directory());
    const root = table.get(1)!;
    const old = table.remember(root, 'a', directory({}));
    const fresh = table.remember(root, 'a', directory({}));
    table.forget(old.id, 1);
    expect(table.find('/a')).toBe(fresh);
  });
});
