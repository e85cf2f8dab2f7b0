/** What a function does at the moment: enabled, powered, near which CPUs, for which driver. */
import { refuse } from '../../abi/errno.js';
import {
  PCI_CAP_ID_PM,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL2_ARI,
  PCI_PM_CTRL,
  PCI_PM_CTRL_STATE_MASK,
} from '../../abi/pci/index.js';
import { disableFunction, enableFunction } from '../../host/enable.js';
import { readExpress } from '../../host/express.js';
import type { BusPlace, Host } from '../../host/host.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Caller } from '../../vfs/caller.js';
import type { Model } from '../context.js';
import { textNode } from '../kit/attribute.js';
import { type Entry, family, subdirectory, text } from '../kit/directory.js';
import { list, mask } from '../kit/format.js';
import { cString, parseInteger, parseNumber } from '../kit/parse.js';
import { isVf } from './function-sriov.js';
import type { PowerState } from './power.js';

/** TAINT_FIRMWARE_WORKAROUND: the node was not the firmware's. */
const taintFirmwareWorkaround = 1 << 11;
/** PCI_D3hot in PMCSR. */
const d3hot = 3;
/** driver_set_override() refuses what it could not show again. */
const overrideLimit = 4095;

function requireAdmin(caller: Caller): void {
  if (!caller.capable('SYS_ADMIN')) refuse('EPERM', 'CAP_SYS_ADMIN is needed');
}

function pmcsr({ config }: PciFunction): number | undefined {
  const capability = config.find(PCI_CAP_ID_PM);
  return capability && capability.offset + PCI_PM_CTRL;
}

/**
 * Runtime-suspended: vfio-pci lets functions sleep that nobody has open (vfio_pci_core_register_device(), disable_idle_d3=N), in D3hot where
 * they can; the bus does so with those that no driver has, once `auto` is written. Other drivers of this machine keep theirs awake.
 */
function sleeps(model: Model, fn: PciFunction, control: PowerState['control']): boolean {
  if (fn.enableCount > 0 || model.powerControls.get(fn) === 'on') return false;
  const register = pmcsr(fn);
  if (!fn.driver || register === undefined) return control === 'auto' && (!fn.driver || hasVfio(model, fn));
  return hasVfio(model, fn) && (fn.config.read(register, 2) & PCI_PM_CTRL_STATE_MASK) === d3hot;
}

const hasVfio = (model: Model, fn: PciFunction) => model.vfio.deviceOf(fn) !== undefined;

export function functionPower(model: Model): (fn: PciFunction) => PowerState {
  return (fn) => {
    const control = model.vfio.deviceOf(fn)?.sleepsIdle ? 'auto' : 'on';
    const written = model.powerControls.get(fn) ?? control;
    return { control, status: sleeps(model, fn, written) ? 'suspended' : 'active' };
  };
}

function powerState(model: Model, fn: PciFunction): string {
  const register = pmcsr(fn);
  if (register === undefined) return 'D0';
  if (model.powerControls.get(fn) === 'on' && fn.enableCount === 0) return 'D0';
  return ['D0', 'D1', 'D2', 'D3hot'][fn.config.read(register, 2) & PCI_PM_CTRL_STATE_MASK]!;
}

/** 1 when the bridge above routes by ARI; a bus that only VFs are on has no bridge of its own. */
function ariEnabled({ parent, physfn, address }: PciFunction): number {
  if (physfn && physfn.address.bus !== address.bus) return 0;
  return parent && readExpress(parent, PCI_EXP_DEVCTL2, 2) & PCI_EXP_DEVCTL2_ARI ? 1 : 0;
}

/** enable_store(): pci_enable_device() and back, only while no driver has the function. */
function storeEnable(fn: PciFunction, content: string, caller: Caller): void {
  requireAdmin(caller);
  const wanted = parseNumber(content);
  if (fn.driver) refuse('EBUSY', `${fn.bdf} is bound to ${fn.driver.name}`);
  if (wanted === 0n && fn.enableCount === 0) refuse('EIO', `${fn.bdf} is not enabled`);
  if (wanted === 0n) disableFunction(fn);
  else enableFunction(fn);
}

function storeNumaNode({ host, settings }: Model, fn: PciFunction, content: string, caller: Caller): void {
  requireAdmin(caller);
  const node = parseInteger(content);
  if (node < -1) refuse('EINVAL', 'no such node');
  if (node >= host.cpus.nodes.length) refuse('EINVAL', `node ${node} is not online`);
  if (node === (settings(fn).numaNode ?? fn.numaNode)) return;
  settings(fn).numaNode = node;
  host.tainted |= taintFirmwareWorkaround;
}

/** Bytes up to a NUL or newline; nothing left clears it. dpdk-devbind clears with a NUL, driverctl with a newline. */
function storeOverride(fn: PciFunction, content: string): void {
  if (content.length >= overrideLimit) refuse('EINVAL', 'driver_override too long');
  fn.driverOverride = cString(content).split('\n')[0] || null;
}

/** msi_irqs/<n>: one file per allocated vector (msi_mode_show()). */
const messageIrqs = family<PciFunction, PciFunction>(
  'file',
  {
    names: ({ messages }) => [...messages.irqs.values()].map(String),
    find: (fn, name) => ([...fn.messages.irqs.values()].map(String).includes(name) ? fn : undefined),
  },
  (fn, place) => textNode({ show: () => fn.messages.kind ?? [] }, place),
);

/** pci_dev.irq: with MSI the first message's number takes the line's place, with MSI-X the line's stays (pci_msi_setup()). */
export const interruptNumber = ({ messages, irq }: PciFunction): number =>
  messages.kind === 'msi' ? messages.irqs.get(0)! : irq;

export function state(model: Model): Entry<PciFunction>[] {
  const { host, settings } = model;
  const near = (fn: PciFunction) => host.cpus.near(settings(fn).numaNode ?? fn.numaNode);
  return [
    text('irq', { show: interruptNumber }),
    subdirectory('msi_irqs', [messageIrqs], { when: (fn) => fn.messages.kind !== undefined, volatile: true }),
    text('local_cpus', { show: (fn) => mask(host.cpus, near(fn)) }),
    text('local_cpulist', { show: (fn) => list(near(fn)) }),
    text('numa_node', {
      show: (fn) => settings(fn).numaNode ?? fn.numaNode,
      store: (fn, content, caller) => storeNumaNode(model, fn, content, caller),
    }),
    // 32 until a driver asks for more (pci_setup_device()).
    text('dma_mask_bits', { show: (fn) => fn.dmaBits }),
    text('consistent_dma_mask_bits', { show: (fn) => fn.dmaBits }),
    text('enable', { show: (fn) => fn.enableCount, store: storeEnable }),
    text('broken_parity_status', {
      show: (fn) => Number(settings(fn).brokenParity),
      store(fn, content) {
        settings(fn).brokenParity = parseNumber(content) !== 0n;
      },
    }),
    text('msi_bus', {
      show: (fn) => Number(settings(fn).msiAllowed),
      store(fn, content, caller) {
        requireAdmin(caller);
        settings(fn).msiAllowed = parseNumber(content) !== 0n;
      },
    }),
    text('d3cold_allowed', {
      // pci_pm_init() allows it to functions that manage their power.
      show: (fn) => Number(settings(fn).d3coldAllowed ?? fn.config.find(PCI_CAP_ID_PM) !== undefined),
      store(fn, content) {
        settings(fn).d3coldAllowed = parseNumber(content) !== 0n;
      },
    }),
    text('driver_override', { show: (fn) => fn.driverOverride ?? '(null)', store: storeOverride }),
    text('power_state', { show: (fn) => powerState(model, fn) }),
    text('ari_enabled', { show: ariEnabled }),
    text('remove', {
      mode: 0o220,
      when: isNoVf,
      store: (fn, content) => (parseNumber(content) === 0n ? undefined : host.remove(fn)),
    }),
    rescan(host, busOf, isNoVf),
    text('boot_vga', {
      show: (fn) => Number(bootDisplay(model) === fn),
      when: isVga,
    }),
  ];
}

/** dev_rescan_store(): the bus that the function is on. */
const busOf = ({ parent: bridge, address: { domain, bus: number } }: PciFunction) => ({
  domain,
  number,
  bridge,
});

/** Of a function's bus, of a bus, or of all: what was removed from there, and from below, is found again. */
export function rescan<S>(
  host: Host,
  busOf: (subject: S) => BusPlace | undefined,
  when?: (subject: S) => boolean,
): Entry<S> {
  return text('rescan', {
    ...(when && { when }),
    store(subject, content) {
      if (parseNumber(content) !== 0n) host.rescan(busOf(subject));
    },
  });
}

/** VFs come and go with their PF's numvfs alone (pci_dev_hp_attrs_are_visible()). */
const isNoVf = (fn: PciFunction) => !isVf(fn);

/** PCI_CLASS_DISPLAY_VGA. */
const isVga = (fn: PciFunction) => fn.shape.classCode >> 8 === 0x0300;

/** vga_default_device(): the first one found. */
function bootDisplay({ host }: Model): PciFunction | undefined {
  for (const fn of host.functions.values()) if (isVga(fn)) return fn;
  return undefined;
}
