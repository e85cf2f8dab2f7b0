/**
 * Real programs before a pretend host: under `vfiofs run`, and, for those that can be told where /sys is, before a plain mount. A program
 * that is missing is a failure: scripts/setup installs them all.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Ended, mountPoint, root, start, vfiofs } from '../cli/program.js';

export { build, root };

export const presets = ['default', 'minimal', 'multifunction-group', 'no-iommu', 'sriov'];

/** libudev trusts no file system but sysfs, and a plain mount is FUSE. */
const trusting = { SYSTEMD_DEVICE_VERIFY_SYSFS: '0' };

/** A shell script under `run`; it ends at the first command that fails. */
export async function sh(script: string, preset = 'default'): Promise<Ended> {
  return vfiofs(['run', preset, '--', 'bash', '-ec', script], { env: plainLocale });
}

/** What the script prints; a status or anything on stderr fails. */
export async function output(script: string, preset?: string): Promise<string> {
  const { code, signal, out, err } = await sh(script, preset);
  if (code !== 0 || signal !== null || err !== '')
    throw new Error(`${script}: ${signal ?? code}\n${out}\n${err}`);
  return out;
}

const plainLocale = { LC_ALL: 'C.UTF-8' };

/** A mounted host for the time of `use`, which is given the directory. */
export async function mounted<T>(preset: string, use: (directory: string) => T | Promise<T>): Promise<T> {
  const place = mountPoint();
  const daemon = start(['mount', preset, '--at', place.path]);
  try {
    await daemon.prints(place.path);
    return await use(place.path);
  } finally {
    daemon.kill('SIGTERM');
    await daemon.ended;
    place.remove();
  }
}

/** A program of the real host, pointed at a mounted one by its own options: its standard output. Never call it for what the mount
 * is served by this very process. */
export function program(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  return start(args, { program: command, env: { ...plainLocale, ...trusting, ...env } }).ended.then(
    ({ code, out, err }) => {
      if (code !== 0 || err !== '') throw new Error(`${command} ${args.join(' ')}: ${code}\n${out}\n${err}`);
      return out;
    },
  );
}

/** The reviewed text of this name. */
export function golden(name: string): string {
  return readFileSync(join(root, 'test/tools/golden', name), 'utf8');
}

/** What of the real host the tools could have changed, as text to compare: PCI devices with drivers and registers, files in /etc. */
export function realState(): string {
  const script = [
    'for d in /sys/bus/pci/devices/*; do [ -e "$d" ] || continue; echo "$d $(readlink "$d/driver") $(cat "$d/driver_override")"',
    'od -An -tx1 -N64 "$d/config"; done; cat /sys/bus/pci/drivers_autoprobe 2>/dev/null',
    'for d in /etc/driverctl.d /etc/modprobe.d /run/modprobe.d /lib/modules; do ls -la --time-style=full-iso $d 2>/dev/null; done; true',
  ];
  return execFileSync('bash', ['-c', script.join('; ')], { encoding: 'utf8' });
}
