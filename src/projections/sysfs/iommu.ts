/** IOMMU groups and the IOMMU itself (drivers/iommu/iommu.c, iommu-sysfs.c, intel/iommu.c). */
import { refuse } from '../../abi/errno.js';
import type { Host } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Caller } from '../../vfs/caller.js';
import type { Model } from '../context.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  link,
  links,
  subdirectory,
  text,
} from '../kit/directory.js';
import { hex } from '../kit/format.js';
import { parseName } from '../kit/parse.js';
import { findFunction, iommuFunction, iommuName, paths } from '../paths.js';
import { power } from './power.js';
import { deviceUevent } from './uevent.js';

/** iommu_group_store_type(). Groups of no-IOMMU and mediated devices are named and have no default domain. */
function storeType(model: Model, group: IommuGroup, content: string, caller: Caller): void {
  if (!caller.capable('SYS_ADMIN') || !caller.capable('SYS_RAWIO'))
    refuse('EACCES', 'CAP_SYS_ADMIN and CAP_SYS_RAWIO are needed');
  if (group.options.name !== undefined) refuse('EINVAL', `group ${group.id} has no default domain`);
  const wanted = parseName(content);
  const type = wanted === 'auto' ? group.options.type : wanted;
  if (type !== 'DMA' && type !== 'DMA-FQ' && type !== 'identity') refuse('EINVAL', 'no such domain type');
  const current = typeOf(model, group);
  const lazier = current === 'DMA' && wanted === 'DMA-FQ';
  if (!lazier && (group.functions.size === 0 || !group.viable))
    refuse('EPERM', `group ${group.id} is in use`);
  model.groupTypes.set(group, type);
}

/** Of its default domain. */
const typeOf = ({ groupTypes }: Model, group: IommuGroup): string =>
  groupTypes.get(group) ?? group.options.type;

/** /sys/kernel/iommu_groups/<n>. */
function groupDirectory(model: Model): DirectoryClass<IommuGroup> {
  const { host } = model;
  const members: Children<IommuGroup, PciFunction> = {
    names: (group) => [...group.functions].map((fn) => fn.bdf),
    find(group, name) {
      const made = host.mdevs.devices.get(name) ?? host.auxiliaries.devices.get(name);
      const fn = findFunction(host, name) ?? made?.fn;
      return fn?.iommuGroup === group ? fn : undefined;
    },
  };
  return new DirectoryClass<IommuGroup>(
    [
      subdirectory('devices', [links(members, paths.function)]),
      text('type', {
        show: (group) => typeOf(model, group),
        store: (group, content, caller) => storeType(model, group, content, caller),
      }),
      text('reserved_regions', {
        show: (group) =>
          group.options.reservedRegions.map(
            ({ start, end, type }) => `${hex(start, 16)} ${hex(end, 16)} ${type}`,
          ),
      }),
      text('name', {
        when: (group) => group.options.name !== undefined,
        show: (group) => group.options.name!,
      }),
    ],
    { alive: (group) => host.groups.get(group.id) === group, key: (group) => group },
  );
}

/** QEMU, DPDK and libvirt find a group's number by links that end here. */
export function iommuGroups(model: Model): Entry<void> {
  const { groups } = model.host;
  return subdirectory(
    'iommu_groups',
    [
      directories<void, IommuGroup>(
        {
          names: () => [...groups.keys()].map(String),
          find: (_, name) => (/^(0|[1-9][0-9]*)$/.test(name) ? groups.get(Number(name)) : undefined),
        },
        groupDirectory(model),
      ),
    ],
    { countTold: true },
  );
}

/** ND of the capability register, bits 0-2: 2^(4 + 2 ND) domain ids (cap_ndoms()). */
function domainCount(cap: string): number {
  return 2 ** (4 + 2 * Number(BigInt(`0x${cap}`) & 7n));
}

/** Domains that have an id: one for each group, but for the identity domain, which has none (FLPT_DEFAULT_DID). */
function domainsUsed(model: Model): number {
  let count = 0;
  for (const group of model.host.groups.values())
    if (group.options.name === undefined && typeOf(model, group) !== 'identity') count++;
  return count;
}

function registers<S>(model: Model): Entry<S> {
  const {
    kind,
    registers: { cap, ecap },
  } = model.host.iommu;
  if (kind === 'amd')
    return subdirectory('amd-iommu', [
      text('cap', { show: () => cap }),
      text('features', { show: () => ecap }),
    ]);
  return subdirectory('intel-iommu', [
    text('version', { show: () => '1:0' }),
    text('address', { show: () => 'fed90000' }),
    text('cap', { show: () => cap }),
    text('ecap', { show: () => ecap }),
    text('domains_supported', { show: () => domainCount(cap) }),
    text('domains_used', { show: () => domainsUsed(model) }),
  ]);
}

/** The one unit that translates for the whole machine, by its name. */
function unitDirectory<S>(model: Model): Entry<S> {
  const { host } = model;
  const translated: Children<Host, PciFunction> = {
    *names() {
      for (const fn of host.functions.values()) if (fn.iommuGroup) yield fn.bdf;
    },
    find(_, name) {
      const fn = findFunction(host, name);
      return fn?.iommuGroup && fn;
    },
  };
  const unit = new DirectoryClass<Host>([
    subdirectory('devices', [links(translated, paths.function)]),
    registers(model),
    link('device', () => paths.function(iommuFunction(host)!), {
      when: () => iommuFunction(host) !== undefined,
      volatile: true,
    }),
    link('subsystem', () => paths.class('iommu')),
    power(model),
    deviceUevent(host, 'iommu'),
  ]);
  const name = iommuName(host);
  return directories<S, Host>(
    { names: () => [name], find: (_, wanted) => (wanted === name ? host : undefined) },
    unit,
  );
}

/** /sys/devices/virtual/iommu, for a unit that is no function. */
export function iommuUnits(model: Model): Entry<void>[] {
  const { host } = model;
  if (host.iommu.kind === 'none') return [];
  const when = () => iommuFunction(host) === undefined;
  return [subdirectory('iommu', [unitDirectory(model)], { when, volatile: true })];
}

/** `iommu` of a function: a link to the unit that translates for it; of an AMD unit the directory that it stands in. */
export function iommuOf(model: Model): Entry<PciFunction>[] {
  const { host } = model;
  // DPDK reads iommu/intel-iommu/cap to find out whether IOVAs can be virtual addresses.
  const unit = () => paths.iommu(host);
  const translates = (fn: PciFunction) => host.iommu.kind !== 'none' && fn.iommuGroup !== undefined;
  if (host.iommu.kind !== 'amd') return [link('iommu', unit, { when: translates })];
  const only = <T>(has: (fn: PciFunction) => boolean, child: T): Children<PciFunction, T> => ({
    names: (fn) => (has(fn) ? ['iommu'] : []),
    find: (fn, name) => (name === 'iommu' && has(fn) ? child : undefined),
  });
  const stands = new DirectoryClass<Host>([unitDirectory(model)]);
  return [
    links(only(translates, 'iommu'), unit),
    directories(
      only((fn) => fn === iommuFunction(host), host),
      stands,
    ),
  ];
}
