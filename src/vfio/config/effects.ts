/** What a write does beyond storing its bits (vfio_basic_config_write(), vfio_{pm,msi,exp,af}_config_write()). */
import { KernelError } from '../../abi/errno.js';
import {
  PCI_AF_CAP,
  PCI_AF_CAP_FLR,
  PCI_AF_CAP_TP,
  PCI_AF_CTRL,
  PCI_AF_CTRL_FLR,
  PCI_BASE_ADDRESS_0,
  PCI_CAP_ID_AF,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_PM,
  PCI_CAP_ID_VPD,
  PCI_COMMAND,
  PCI_COMMAND_INTX_DISABLE,
  PCI_COMMAND_IO,
  PCI_COMMAND_MEMORY,
  PCI_EXP_DEVCAP,
  PCI_EXP_DEVCAP_FLR,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL_BCR_FLR,
  PCI_EXP_DEVCTL_PAYLOAD,
  PCI_EXP_DEVCTL_READRQ,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_QSIZE,
  PCI_PM_CTRL,
  PCI_PM_CTRL_STATE_MASK,
  PCI_ROM_ADDRESS,
  PCI_VPD_ADDR,
  PCI_VPD_ADDR_F,
  PCI_VPD_ADDR_MASK,
  PCI_VPD_DATA,
} from '../../abi/pci/index.js';
import { readVpd, writeVpd } from '../../host/vpd.js';
import type { Area } from './map.js';
import type { VirtualConfig } from './virtual-config.js';

/** One write of 1, 2 or 4 aligned bytes inside one area. */
export interface Unit {
  readonly area: Area;
  readonly offset: number;
  readonly length: number;
  readonly value: number;
}

/** Stores the unit (or not) and does what follows from it. */
export type Effect = (config: VirtualConfig, unit: Unit) => void;

const store: Effect = (config, { offset, length, value }) => config.store(offset, length, value);

const DECODE = PCI_COMMAND_MEMORY | PCI_COMMAND_IO;

const header: Effect = (config, unit) => {
  if (unit.offset === PCI_COMMAND) restoreBars(config, unit.value);
  store(config, unit);
  const { shadow } = config;
  if (unit.offset === PCI_COMMAND)
    shadow.writeUInt16LE((config.command & ~DECODE) | (unit.value & DECODE), PCI_COMMAND);
  if (unit.offset === PCI_COMMAND) config.actions.decodes((unit.value & PCI_COMMAND_MEMORY) !== 0);
  if (unit.offset === PCI_COMMAND || unit.offset === PCI_COMMAND + 1)
    config.actions.intxDisabled((config.command & PCI_COMMAND_INTX_DISABLE) !== 0);
};

/** Decode is on for the client and off in the hardware: somebody reset the device behind our back, and its BARs are gone. */
function restoreBars(config: VirtualConfig, command: number): void {
  const { fn } = config;
  // A VF has neither the bits nor BARs of its own (vfio_bar_restore()).
  if (fn.physfn) return;
  const lost = command & config.command & ~fn.config.read(PCI_COMMAND, 2) & DECODE;
  if (lost === 0) return;
  fn.bars.forEach((bar, index) => {
    if (!bar) return;
    const at = PCI_BASE_ADDRESS_0 + 4 * index;
    fn.config.write(at, 4, Number(bar.address & 0xffff_ffffn));
    if (bar.kind === 'memory64') fn.config.write(at + 4, 4, Number(bar.address >> 32n));
  });
  if (fn.romSize > 0) fn.config.write(PCI_ROM_ADDRESS, 4, Number(fn.romAddress));
}

const powerManagement: Effect = (config, unit) => {
  store(config, unit);
  if (unit.offset === unit.area.start + PCI_PM_CTRL)
    config.actions.setPowerState(unit.value & PCI_PM_CTRL_STATE_MASK);
};

/** MSI is enabled by SET_IRQS alone, and with no more vectors than it was enabled with there. */
const msi: Effect = (config, unit) => {
  store(config, unit);
  const at = unit.area.start + PCI_MSI_FLAGS;
  if (unit.offset > at || unit.offset + unit.length <= at) return;
  const { msiEnabled, msiQueueSize } = config.actions;
  let flags = config.shadow.readUInt16LE(at);
  if (!msiEnabled) flags &= ~PCI_MSI_FLAGS_ENABLE;
  if ((flags & PCI_MSI_FLAGS_QSIZE) >> 4 > msiQueueSize)
    flags = (flags & ~PCI_MSI_FLAGS_QSIZE) | (msiQueueSize << 4);
  config.shadow.writeUInt16LE(flags, at);
  config.fn.config.write(at, 2, flags);
};

const express: Effect = (config, unit) => {
  const at = unit.area.start + PCI_EXP_DEVCTL;
  const control = (): number => config.shadow.readUInt16LE(at);
  const before = control() & PCI_EXP_DEVCTL_READRQ;
  store(config, unit);
  if (control() & PCI_EXP_DEVCTL_BCR_FLR) {
    config.shadow.writeUInt16LE(control() & ~PCI_EXP_DEVCTL_BCR_FLR, at);
    if (config.fn.config.read(unit.area.start + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
      config.actions.reset();
  }
  const wanted = control() & PCI_EXP_DEVCTL_READRQ;
  if (wanted === before) return;
  // The hardware follows, but not below the payload size, which is the system's to choose.
  const hardware = config.fn.config.read(at, 2);
  const request = Math.max(wanted >> 12, (hardware & PCI_EXP_DEVCTL_PAYLOAD) >> 5);
  config.fn.config.write(at, 2, (hardware & ~PCI_EXP_DEVCTL_READRQ) | (request << 12));
};

const advancedFeatures: Effect = (config, unit) => {
  const at = unit.area.start + PCI_AF_CTRL;
  store(config, unit);
  const control = config.shadow.readUInt8(at);
  if (!(control & PCI_AF_CTRL_FLR)) return;
  config.shadow.writeUInt8(control & ~PCI_AF_CTRL_FLR, at);
  const needed = PCI_AF_CAP_FLR | PCI_AF_CAP_TP;
  if ((config.fn.config.read(unit.area.start + PCI_AF_CAP, 1) & needed) === needed) config.actions.reset();
};

/** A write that reaches F is a command; where the EEPROM refuses it, F stays as written and the client times out. */
const vitalData: Effect = (config, unit) => {
  store(config, unit);
  const at = unit.area.start;
  const flag = at + PCI_VPD_ADDR + 1;
  if (unit.offset > flag || unit.offset + unit.length <= flag) return;
  const address = config.shadow.readUInt16LE(at + PCI_VPD_ADDR);
  const cell = address & PCI_VPD_ADDR_MASK;
  try {
    if (address & PCI_VPD_ADDR_F) {
      const data = config.shadow.subarray(at + PCI_VPD_DATA, at + PCI_VPD_DATA + 4);
      writeVpd(config.fn, cell, Buffer.from(data));
    } else {
      const data = readVpd(config.fn, cell, 4);
      config.shadow.fill(0, at + PCI_VPD_DATA, at + PCI_VPD_DATA + 4);
      data.copy(config.shadow, at + PCI_VPD_DATA);
    }
  } catch (error) {
    if (error instanceof KernelError) return;
    throw error;
  }
  config.shadow.writeUInt16LE(address ^ PCI_VPD_ADDR_F, at + PCI_VPD_ADDR);
};

const standardEffects: ReadonlyMap<number, Effect> = new Map([
  [PCI_CAP_ID_PM, powerManagement],
  [PCI_CAP_ID_VPD, vitalData],
  [PCI_CAP_ID_MSI, msi],
  [PCI_CAP_ID_EXP, express],
  [PCI_CAP_ID_AF, advancedFeatures],
]);

/** undefined where a write only stores. */
export function effectOf(area: Area): Effect | undefined {
  if (area.kind === 'header') return header;
  return area.kind === 'standard' ? standardEffects.get(area.id) : undefined;
}
