/** Lets the real lspci decode configuration spaces, from a hex dump (`lspci -F`). */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PciFunction } from '../../src/host/pci-function.js';
import { needs } from '../cli/needs.js';

function hexDump(fn: PciFunction): string {
  const rows = [`${fn.bdf} Device`];
  for (let at = 0; at < fn.config.size; at += 16) {
    const row = [...fn.config.bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    rows.push(`${at.toString(16).padStart(2, '0')}: ${row.join(' ')}`);
  }
  return `${rows.join('\n')}\n\n`;
}

/** What `lspci -vvv` (or `args`) prints; warnings on stderr fail. */
export function lspci(functions: Iterable<PciFunction>, args: readonly string[] = ['-vvv', '-nn']): string {
  needs('lspci');
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-lspci-'));
  try {
    const file = join(directory, 'dump');
    writeFileSync(file, [...functions].map(hexDump).join(''));
    const { stdout, stderr, status } = spawnSync('lspci', ['-F', file, ...args], { encoding: 'utf8' });
    // Where no kernel modules are installed lspci says so; that is about the machine, not the dump.
    const complaints = stderr.split('\n').filter((line) => line !== '' && !line.includes('libkmod'));
    if (status !== 0 || complaints.length > 0) throw new Error(`lspci: status ${status}: ${stderr}`);
    return stdout;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
