/** Aliases as file2alias makes them of a driver's id table (scripts/mod/file2alias.c: do_pci_entry()). */
import type { PciDriver, PciId } from '../../host/driver.js';
import type { Host } from '../../host/host.js';
import { upper } from '../kit/format.js';

export interface Alias {
  readonly pattern: string;
  /** With underscores. */
  readonly module: string;
}

const any = (value: number | undefined, digits: number) => (value === undefined ? '*' : upper(value, digits));

/** A byte of the class, `*` where the mask leaves it out. */
function classByte(id: PciId, shift: 0 | 8 | 16): string {
  const mask = id.class === undefined ? 0 : (id.classMask ?? 0xffffff);
  return ((mask >> shift) & 0xff) === 0xff ? upper(((id.class ?? 0) >> shift) & 0xff, 2) : '*';
}

/** Ids that only driver_override considers have a prefix of their own, so that modprobe of a modalias never loads their driver. */
function pattern(id: PciId): string {
  const ids = `v${any(id.vendor, 8)}d${any(id.device, 8)}sv${any(id.subvendor, 8)}sd${any(id.subdevice, 8)}`;
  const code = `bc${classByte(id, 16)}sc${classByte(id, 8)}i${classByte(id, 0)}`;
  // add_wildcard(): libpci asks with the newline that it found behind the modalias.
  return `${id.overrideOnly ? 'vfio_pci' : 'pci'}:${ids}${code}`.replace(/[^*]$/, '$&*');
}

/** The port driver has no MODULE_DEVICE_TABLE (drivers/pci/pcie/portdrv.c): nothing loads it, and lspci -k names no module. */
const withoutAliases = 'pcieport';

function ofDriver({ name, ids, module }: PciDriver): Alias[] {
  if (name === withoutAliases) return [];
  return ids.map((id) => ({ pattern: pattern(id), module }));
}

/** All of the machine's, VFIO's own names included. */
export function aliases(host: Host): Alias[] {
  const drivers = [...host.drivers.all()].flatMap(ofDriver);
  // do_auxiliary_entry().
  for (const { id, module } of host.auxiliaries.makers.values())
    drivers.push({ pattern: `auxiliary:${id}`, module });
  if (!host.modules.has('vfio')) return drivers;
  return [
    ...drivers,
    { pattern: 'char-major-10-196', module: 'vfio' },
    { pattern: 'devname:vfio/vfio', module: 'vfio' },
  ];
}
