/** QEMU as a command under `vfiofs run`, without an accelerator: what it does then with VFIO is all in user space. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { made, needs } from '../cli/needs.js';
import { root } from '../cli/program.js';

const guest = join(root, 'build/guest');
/** Debian 13's, made by scripts/trixie where that is not the system itself. */
const trixie = join(root, 'build/trixie');

/** A QEMU that can be run, and where it finds the guest's files and those of the test. */
export interface Qemu {
  readonly words: readonly string[];
  readonly guest: string;
  readonly files: string;
  /** Done in the view before, by a shell. */
  readonly before: string;
}

/** The system's: 7.2 on Debian 12, 10 on Debian 13. */
export function systemQemu(files: string): Qemu {
  needs('qemu-system-x86_64');
  return { words: ['qemu-system-x86_64'], guest, files, before: '' };
}

/** QEMU 10: the system's, or in a root file system of its own, into which the view is bound from inside. */
export function qemu10(files: string): Qemu {
  if (!existsSync(join(trixie, '.stamp'))) {
    const system = systemQemu(files);
    const version = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
    if (/^QEMU emulator version \d\./.test(version))
      throw new Error(`no QEMU 10, nor ${trixie}: run scripts/setup`);
    return system;
  }
  const before = [
    `for part in dev sys proc; do mount --rbind /$part '${trixie}'/$part; done`,
    `mount --bind '${guest}' '${trixie}/run'`,
    `mount --bind '${files}' '${trixie}/tmp'`,
  ].join('; ');
  return { words: ['chroot', trixie, 'qemu-system-x86_64'], guest: '/run', files: '/tmp', before };
}

/** `vfiofs run` of `command` on `topology`, in a view where `qemu` can be started. */
export const inView = (qemu: Qemu, topology: string, command: readonly string[]): string[] => [
  ...['run', topology, '--', 'sh', '-ec', `${qemu.before}\nexec "$@"`, 'sh'],
  ...command,
];

/** The words that start a machine, with whatever devices. */
export const machine = (qemu: Qemu, type: string, ...devices: string[]): string[] => [
  ...[...qemu.words, '-machine', `${type},accel=tcg`, '-m', '256'],
  ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', ...devices],
];

/** Our guest for a machine; its console is written to `log` in the directory of the test's files. */
export function linux(qemu: Qemu, log: string, parameters = ''): string[] {
  made('guest/initrd.gz');
  return [
    // Not stdio: QEMU drops what a pipe does not take at once.
    ...['-serial', `file:${join(qemu.files, log)}`],
    ...['-kernel', join(qemu.guest, 'vmlinuz'), '-initrd', join(qemu.guest, 'initrd.gz')],
    ...['-append', `console=ttyS0 loglevel=3 panic=-1 ${parameters}`],
  ];
}

/** The guest found the function, drove it by its own driver and copied `count` times, told by MSI-X; `console` is all it wrote. */
export function expectDriven(console: string, count = 200): void {
  const lines = console.replaceAll('\r', '').split('\n');
  expect(lines).toContain('function 0x8086 0x2021 0x088000');
  expect(lines).toContain('driver ../../../bus/pci/drivers/ioatdma');
  expect(lines).toContain('interrupts 2');
  expect(lines).toContain('channels dma0chan0 dma0chan1');
  expect(console).toContain(`copies: ${count} of ${count} by dma0chan0: 0`);
  expect(console).not.toMatch(/BUG|WARNING|failed to|timed out/);
  // One for each copy, and those of the driver's self-test.
  const interrupts = Number(/^ *\d+: +(\d+) .*ioat-msix\r?$/m.exec(console)?.[1]);
  expect(interrupts).toBeGreaterThanOrEqual(count + 1);
  expect(lines).toEqual(expect.arrayContaining(['unbound 0', 'bound 2']));
}
