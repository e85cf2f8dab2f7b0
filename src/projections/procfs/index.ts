/** The files of /proc that tell of devices, drivers and modules; a launcher puts each over its namesake. */
import { existsSync, readFileSync } from 'node:fs';
import { refuse } from '../../abi/errno.js';
import type { Caller } from '../../vfs/caller.js';
import { MISC_MAJOR, type Model } from '../context.js';
import { type Entry, entry, subdirectory } from '../kit/directory.js';
import { parseNumber } from '../kit/parse.js';
import { plainFile } from '../kit/plain.js';
import { miscDevices } from '../sysfs/vfio.js';
import { busPci } from './bus-pci.js';

/** misc_seq_show(): newest first, as registered devices are put at the head of the list. */
function misc(model: Model): string[] {
  return miscDevices(model)
    .reverse()
    .map(({ minor, label }) => `${String(minor).padStart(3)} ${label}`);
}

/** devinfo_show(): libvirt and udev scripts look for the dynamic majors here. */
function devices({ vfio, host }: Model): string[] {
  const rows: [number, string][] = [[MISC_MAJOR, 'misc']];
  if (host.modules.has('vfio')) rows.push([vfio.majors.group, 'vfio'], [vfio.majors.device, 'vfio-dev']);
  rows.sort(([a], [b]) => a - b);
  return [
    'Character devices:',
    ...rows.map(([major, name]) => `${String(major).padStart(3)} ${name}`),
    '',
    'Block devices:',
  ];
}

/** What people grep for `intel_iommu=on`, and kmod for module parameters. */
function commandLine({ host }: Model): string {
  const iommu = { intel: ' intel_iommu=on', amd: ' amd_iommu=on', none: '' }[host.iommu.kind];
  return `BOOT_IMAGE=/boot/vmlinuz-${host.release} root=/dev/vda1 ro${iommu}`;
}

/** proc_taint(): bits can be set, never cleared. */
function taint({ host }: Model, content: string, caller: Caller): void {
  if (!caller.capable('SYS_ADMIN')) refuse('EPERM', 'CAP_SYS_ADMIN is needed');
  host.tainted |= Number(parseNumber(content.trimEnd(), 32));
}

/**
 * The real CPUs, with the virtualization flag that machines with this IOMMU have: virt-host-validate looks for DMAR where it sees vmx,
 * for IVRS where it sees svm, and for nothing without. CPUID itself can't be changed for programs.
 */
export function cpuinfo(real: string, kind: 'intel' | 'amd'): string {
  const flag = kind === 'intel' ? 'vmx' : 'svm';
  return real.replace(/^(flags\s*:)(.*)$/gm, (_, name: string, flags: string) => {
    const others = flags.split(' ').filter((word) => word !== '' && word !== 'vmx' && word !== 'svm');
    return [name, ...others, flag].join(' ');
  });
}

/** Read once, at the start: later /proc/cpuinfo may be this very file. */
function cpuinfoFile({ host }: Model): Entry<void>[] {
  const { kind } = host.iommu;
  if (kind === 'none' || !existsSync('/proc/cpuinfo')) return [];
  const content = Buffer.from(cpuinfo(readFileSync('/proc/cpuinfo', 'latin1'), kind), 'latin1');
  return [entry('file', 'cpuinfo', (_, { path }) => plainFile({ mode: 0o444, path, show: () => content }))];
}

/** Of these a launcher puts all over their namesakes at once: what is in them comes and goes. */
export const procDirectories: readonly string[] = ['/proc/bus/pci'];

export function procfs(model: Model): Entry<void>[] {
  const file = (name: string, lines: () => readonly string[]): Entry<void> =>
    entry('file', name, (_, { path }) =>
      plainFile({
        mode: 0o444,
        path,
        show: () =>
          Buffer.from(
            lines()
              .map((line) => `${line}\n`)
              .join(''),
          ),
      }),
    );
  return [
    busPci(model),
    file('cmdline', () => [commandLine(model)]),
    ...cpuinfoFile(model),
    file('devices', () => devices(model)),
    file('misc', () => misc(model)),
    // Every module of this machine is built in, and those are not listed.
    file('modules', () => []),
    subdirectory('sys', [
      subdirectory('kernel', [
        entry('file', 'tainted', (_, { path }) =>
          plainFile({
            mode: 0o644,
            path,
            show: () => Buffer.from(`${model.host.tainted}\n`),
            store: (content, caller) => taint(model, content, caller),
          }),
        ),
      ]),
    ]),
  ];
}
