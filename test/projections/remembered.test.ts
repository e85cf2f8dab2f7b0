/** What was looked up before its object went: whoever stands in such a directory finds it empty, and nothing of it is our mistake. */
import { expect, test } from 'vitest';
import { KernelError } from '../../src/abi/errno.js';
import { models } from '../../src/devices/index.js';
import { createMachine } from '../../src/machine.js';
import { loadPreset, loadTopology } from '../../src/topology/index.js';
import type { DirectoryNode, FileNode, SymlinkNode, VfsNode } from '../../src/vfs/node.js';
import { root as caller } from './machine.js';

function* nodesBelow(node: DirectoryNode, path = ''): Generator<[path: string, node: VfsNode]> {
  for (const name of node.names()) {
    const child = node.lookup(name);
    if (!child) continue;
    yield [`${path}/${name}`, child];
    if (child.kind === 'directory') yield* nodesBelow(child, `${path}/${name}`);
  }
}

/** Stat, list, look up, read: whatever a client can ask of a node that it remembers. */
async function ask(node: VfsNode): Promise<void> {
  node.attributes();
  if (node.kind === 'directory') for (const name of (node as DirectoryNode).names()) node.lookup(name);
  if (node.kind === 'symlink') (node as SymlinkNode).target();
  if (node.kind !== 'file') return;
  const file = await (node as FileNode).open({ flags: 0, reads: true, writes: false }, caller);
  try {
    await file.read?.(0n, 4096, caller);
  } finally {
    await file.release?.();
  }
}

test.each([
  ['examples/profiles.yaml', ''],
  ['examples/variants.yaml', ''],
  ['examples/mdev.yaml', 'mdev'],
  ['siov', 'auxiliary'],
  ['default', ''],
])('%s', async (name, makes) => {
  const topology = name.includes('/') ? loadTopology(name) : loadPreset(name, models);
  const machine = createMachine(topology, { pages: 'buffer' });
  const { host, root } = machine;
  for (const parent of host.mdevs.parents.values())
    host.mdevs.create(parent.types[0]!, '0b3bd1c4-1c59-4b5c-8b8e-1f0c5f3d0a01');
  for (const parent of host.auxiliaries.parents.keys()) host.auxiliaries.add(parent, 1);
  const parts = ['sys', 'dev'].map((part) => root.lookup(part) as DirectoryNode);
  const remembered = new Map(parts.flatMap((part) => [...nodesBelow(part)]));
  if (makes)
    expect([...remembered.keys()].some((path) => path.includes(`/bus/${makes}/devices/`))).toBe(true);

  const mistakes = new Set<string>();
  const askAll = async () => {
    for (const [path, node] of remembered)
      await ask(node).catch((error) => {
        if (!(error instanceof KernelError)) mistakes.add(`${path}: ${error}`);
      });
  };
  for (const fn of [...host.functions.values()]) if (fn.driver) await host.drivers.unbind(fn.driver, fn.bdf);
  await askAll();
  for (const fn of [...host.functions.values()]) if (host.functions.has(fn.bdf)) await host.remove(fn);
  await askAll();
  expect([...mistakes]).toEqual([]);
  machine.destroy();
});
