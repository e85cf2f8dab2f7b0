/**
 * The pretend /sys as plain files on a tmpfs: the same names, contents and links, at the cost of a file system in the kernel. Made from a
 * machine of this process, so that what is measured is not disturbed, nor waited for.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const largest = 1 << 16;
const reading = { flags: 0, reads: true, writes: false };

/** What can be read; what is only written, mapped, or refused at the moment is empty. */
function content(node, root) {
  let file;
  try {
    file = node.open(reading, root);
    return file.read?.(0n, largest, root) ?? Buffer.alloc(0);
  } catch (error) {
    if (['EACCES', 'EIO', 'EINVAL', 'ENODEV'].includes(error.code)) return Buffer.alloc(0);
    throw error;
  } finally {
    file?.release?.();
  }
}

function copyFile(node, to, root) {
  const bytes = content(node, root);
  writeFileSync(to, bytes);
  // BARs have a size and nothing to read.
  const { size } = node.attributes();
  if (bytes.length === 0 && size !== 4096) truncateSync(to, size);
}

function copyTree(directory, to, root) {
  mkdirSync(to);
  for (const name of directory.names()) {
    const node = directory.lookup(name);
    const target = join(to, name);
    if (node.kind === 'directory') copyTree(node, target, root);
    else if (node.kind === 'symlink') symlinkSync(node.target(), target);
    else copyFile(node, target, root);
  }
}

/** /sys of the machine of `topology` (the data of a topology file) on a tmpfs of its own, gone after cleanup. */
export async function copyToTmpfs(cleanup, topology) {
  const { createMachine, parseTopology } = await import('../dist/index.js');
  const { plainCaller } = await import('../dist/transports/plain-caller.js');
  const root = plainCaller({
    reason: 'nobody calls',
    uid: 0,
    gid: 0,
    capable: () => true,
    describe: 'bench',
  });
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
  cleanup.add(() => rmdirSync(directory));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8g,nr_inodes=4m', 'vfiofs-bench', directory]);
  cleanup.add(() => execFileSync('umount', [directory]));
  const machine = createMachine(parseTopology(JSON.stringify(topology), 'topology.json'), {
    pages: 'buffer',
  });
  try {
    copyTree(machine.root.lookup('sys'), join(directory, 'sys'), root);
  } finally {
    machine.destroy();
  }
  return join(directory, 'sys');
}
