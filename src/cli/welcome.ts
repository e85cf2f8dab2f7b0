/** The first screen of `vfiofs shell`: what is here, and ten things to try, with the addresses of this very host. */
import { count, paint } from './output.js';
import type { HostSummary } from './view-server.js';

type FunctionSummary = HostSummary['functions'][number];

export interface Suggestion {
  readonly command: string;
  readonly shows: string;
}

/** More functions than this are counted. */
const longestList = 6;

const isVfio = ({ driver }: FunctionSummary) => driver?.includes('vfio') ?? false;

/** Ten commands that work on this host, in a shell of it. */
export function suggestions({ functions }: HostSummary): Suggestion[] {
  const device = functions.find(isVfio) ?? functions.find(({ bridge }) => !bridge) ?? functions[0];
  const bdf = device?.bdf ?? '0000:00:00.0';
  const sys = `/sys/bus/pci/devices/${bdf}`;
  const parent = functions.find(({ sriov, driver }) => sriov && driver);
  return [
    { command: 'lspci -nnk', shows: 'its PCI functions and their drivers' },
    { command: `lspci -vvs ${bdf}`, shows: 'one of them, with its capabilities' },
    { command: 'ls -l /dev/vfio /dev/vfio/devices', shows: 'groups and cdevs that programs can open' },
    { command: `cat ${sys}/resource`, shows: 'its BARs: start, end, flags' },
    { command: `setpci -s ${bdf} COMMAND`, shows: 'a register of its configuration space' },
    { command: 'ls /sys/kernel/iommu_groups/*/devices', shows: 'what is isolated from what' },
    { command: 'driverctl -v list-devices', shows: 'drivers, as driverctl sees them' },
    { command: `echo vfio-pci > ${sys}/driver_override`, shows: 'which driver shall have it' },
    parent
      ? {
          command: `cat /sys/bus/pci/devices/${parent.bdf}/sriov_totalvfs`,
          shows: 'how many VFs it can have',
        }
      : {
          command: 'cat /proc/cmdline /proc/sys/kernel/tainted',
          shows: 'what the pretend kernel says of itself',
        },
    {
      command: isVfio(device!)
        ? `echo ${bdf} > ${sys}/driver/unbind; lspci -ks ${bdf}`
        : 'modprobe vfio-pci; ls /sys/bus/pci/drivers',
      shows: isVfio(device!) ? 'the driver lets go of it' : 'the drivers there are',
    },
  ];
}

function row({ bdf, ids, model, driver, iommu_group: group }: FunctionSummary): string {
  const what = `${ids.vendor.slice(2)}:${ids.device.slice(2)}${model ? ` ${model}` : ''}`;
  const node = driver?.includes('vfio') && group !== null ? ` · /dev/vfio/${group}` : '';
  return `  ${bdf}  ${what.padEnd(16)} ${driver ?? 'no driver'}${group === null ? '' : ` · IOMMU group ${group}`}${node}`;
}

/** At most a screen of 24 lines; `columns` of the terminal: what explains a command goes where there is no room for it. */
export function welcome(host: HostSummary, name: string, columns = 80): string {
  const shown = host.functions.filter(({ bridge }) => !bridge);
  const listed = shown.length > longestList ? shown.slice(0, longestList - 1) : shown;
  const tries = suggestions(host);
  const width = Math.min(52, Math.max(...tries.map(({ command }) => command.length)));
  return `${[
    `${paint('bold', `A pretend host: ${name}`)} · ${count(host.functions.length, 'PCI function')} · ${count(host.groups.length, 'IOMMU group')} · Linux ${host.kernel.release} · leave with exit`,
    ...listed.map(row),
    ...(shown.length > listed.length ? [`  … ${shown.length - listed.length} more: lspci`] : []),
    '',
    paint('bold', 'Ten things to try'),
    ...tries.map(({ command, shows }, index) => {
      const line = `${String(index + 1).padStart(4)}  ${command.padEnd(width)}  ${shows}`;
      return line.length > columns ? `${String(index + 1).padStart(4)}  ${command}` : line;
    }),
    '',
  ].join('\n')}\n`;
}
