/** The pretend /sys as plain files on a tmpfs: the same names, contents and links, at the cost of a file system in the kernel. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const buffer = Buffer.alloc(1 << 16);

/** What can be read; what is only written, mapped, or refused at the moment is empty. */
function content(file) {
  let fd;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if (error.code === 'EACCES') return Buffer.alloc(0);
    throw error;
  }
  try {
    return Buffer.from(buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, 0)));
  } catch (error) {
    if (['EIO', 'EINVAL', 'ENODEV'].includes(error.code)) return Buffer.alloc(0);
    throw error;
  } finally {
    closeSync(fd);
  }
}

function copyFile(from, to) {
  const bytes = content(from);
  writeFileSync(to, bytes);
  // BARs have a size and nothing to read.
  const { size } = lstatSync(from);
  if (bytes.length === 0 && size !== 4096) truncateSync(to, size);
}

function copyTree(from, to) {
  mkdirSync(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else copyFile(source, target);
  }
}

/** The directory `sys` on a tmpfs of its own, gone after cleanup. */
export function copyToTmpfs(cleanup, sys) {
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
  cleanup.add(() => rmdirSync(directory));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8g,nr_inodes=4m', 'vfiofs-bench', directory]);
  cleanup.add(() => execFileSync('umount', [directory]));
  copyTree(sys, join(directory, 'sys'));
  return join(directory, 'sys');
}
