/** read and write on BARs (vfio_pci_bar_rw()): register by register, each one seen by the device model. */
import { refuse } from '../../abi/errno.js';
import type { DeviceModel } from '../../devices/contract.js';
import type { Bar } from '../../host/pci-function.js';
import { msixTable } from '../irqs/available.js';
import type { OpenDevice } from '../open-device.js';
import { type Excluded, type Unit, units } from './units.js';

/** What one register access comes to; `bytes` is the unit's part of the client's buffer. */
interface Port {
  read(unit: Unit, bytes: Buffer): void;
  write(unit: Unit, bytes: Buffer): void;
}

/** A short count at the end of the BAR; EINVAL from there on, EIO with memory decode off. */
export function readBar(open: OpenDevice, index: number, offset: number, length: number): Buffer {
  const bar = existing(open, index, offset);
  const result = Buffer.alloc(Math.min(length, bar.size - offset), 0xff);
  const port = portOf(open, bar);
  for (const unit of units(offset, result.length, widest(bar), tableOf(open, index)))
    if (!unit.excluded) port.read(unit, part(result, unit, offset));
  return result;
}

/** Returns the bytes taken. */
export function writeBar(open: OpenDevice, index: number, offset: number, data: Buffer): number {
  const bar = existing(open, index, offset);
  const length = Math.min(data.length, bar.size - offset);
  const port = portOf(open, bar);
  for (const unit of units(offset, length, widest(bar), tableOf(open, index)))
    if (!unit.excluded) port.write(unit, part(data, unit, offset));
  return length;
}

const widest = (bar: Bar): 4 | 8 => (bar.kind === 'io' ? 4 : 8);

const part = (buffer: Buffer, { at, width }: Unit, start: number): Buffer =>
  buffer.subarray(at - start, at - start + width);

function existing(open: OpenDevice, index: number, offset: number): Bar {
  const bar = open.fn.bars[index];
  if (!bar || offset >= bar.size) return refuse('EINVAL', `BAR ${index} has no byte ${offset}`);
  return bar;
}

/** The MSI-X table is the kernel's: excluded from read and write, though not from mmap. */
function tableOf(open: OpenDevice, index: number): Excluded | undefined {
  const table = msixTable(open.fn);
  return table?.bar === index ? table : undefined;
}

function portOf(open: OpenDevice, bar: Bar): Port {
  const model = open.fn.model?.model;
  return bar.memory ? memoryPort(open, bar.index, bar.memory, model) : ioPort(bar.index, model);
}

function memoryPort(open: OpenDevice, bar: number, memory: Buffer, model: DeviceModel | undefined): Port {
  const decoded = (): void => {
    if (!open.memoryEnabled) refuse('EIO', 'memory decode is off');
  };
  return {
    read({ at, width }, bytes) {
      decoded();
      model?.reading?.(bar, at, width);
      memory.copy(bytes, 0, at, at + width);
    },
    write({ at, width }, bytes) {
      decoded();
      bytes.copy(memory, at);
      model?.written?.(bar, at, width, 'trapped');
    },
  };
}

/** Ports decode whenever asked; a model without them answers with ones, as an empty bus does. */
function ioPort(bar: number, model: DeviceModel | undefined): Port {
  return {
    read({ at, width }, bytes) {
      const value = model?.portRead?.(bar, at, width);
      if (value !== undefined) bytes.writeUIntLE(value % 2 ** (8 * width), 0, width);
    },
    write({ at, width }, bytes) {
      model?.portWrite?.(bar, at, width, bytes.readUIntLE(0, width));
    },
  };
}
