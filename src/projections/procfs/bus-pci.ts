/** /proc/bus/pci: configuration space by bus and slot, and a line for each function (drivers/pci/proc.c). */
import { refuse } from '../../abi/errno.js';
import {
  PCIIOC_CONTROLLER,
  PCIIOC_MMAP_IS_IO,
  PCIIOC_MMAP_IS_MEM,
  PCIIOC_WRITE_COMBINE,
} from '../../abi/pci/index.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Caller } from '../../vfs/caller.js';
import { IoctlTable } from '../../vfs/ioctl.js';
import type { FileNode, OpenFile } from '../../vfs/node.js';
import type { Model, PciBus } from '../context.js';
import { render } from '../kit/attribute.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  entry,
  family,
  subdirectory,
} from '../kit/directory.js';
import { plainFile } from '../kit/plain.js';
import { busName, findFunction } from '../paths.js';
import { configSpace } from '../pci-config.js';
import { standardResources } from '../pci-resources.js';
import { interruptNumber } from '../sysfs/function-state.js';

/** PCI_REGION_FLAG_MASK: the type bits of a BAR. */
const regionFlags = 0xfn;

/** show_device(). */
function deviceLine(fn: PciFunction): string {
  const { bus, device, function: number } = fn.address;
  const hex = (value: number | bigint, width: number) => value.toString(16).padStart(width, '0');
  const wide = (value: bigint) => value.toString(16).padStart(16);
  const resources = standardResources(fn);
  return [
    hex(bus, 2) + hex((device << 3) | number, 2),
    hex(fn.shape.vendor, 4) + hex(fn.shape.device, 4),
    interruptNumber(fn).toString(16),
    ...resources.map(({ start, flags }) => wide(start | (BigInt(flags) & regionFlags))),
    ...resources.map(({ start, end }) => wide(start < end ? end - start + 1n : 0n)),
    fn.driver?.name ?? '',
  ].join('\t');
}

/** proc_bus_pci_ioctl(). Of an mmap_state it is only said that it was taken: nothing can be mapped here. */
const ioctls = new IoctlTable<PciFunction>(
  [
    {
      number: PCIIOC_CONTROLLER,
      name: 'PCIIOC_CONTROLLER',
      argument: 'none',
      handle: (fn) => fn.address.domain,
    },
    {
      number: PCIIOC_MMAP_IS_IO,
      name: 'PCIIOC_MMAP_IS_IO',
      argument: 'none',
      handle: () => refuse('EINVAL', 'this architecture maps no I/O ports'),
    },
    { number: PCIIOC_MMAP_IS_MEM, name: 'PCIIOC_MMAP_IS_MEM', argument: 'none', handle: () => 0 },
    { number: PCIIOC_WRITE_COMBINE, name: 'PCIIOC_WRITE_COMBINE', argument: 'integer', handle: () => 0 },
  ],
  'EINVAL',
);

/** What is there of `length` bytes at `offset`; nothing, and no refusal, behind the end. */
const within = (size: number, offset: bigint, length: number): number =>
  offset >= BigInt(size) ? 0 : Math.min(length, size - Number(offset));

function openConfig(fn: PciFunction, path: string, opener: Caller): OpenFile {
  const config = configSpace(fn);
  const readable = config.readable(opener);
  // proc_reg_read() and its like, once remove_proc_entry() has been through.
  const check = (code: 'EIO' | 'ENOTTY') => {
    if (!fn.present) refuse(code, `${path}: removed`);
  };
  return {
    read(offset, length) {
      check('EIO');
      const count = within(readable, offset, length);
      return count > 0 ? config.read(Number(offset), count) : new Uint8Array(0);
    },
    write(offset, data) {
      check('EIO');
      const count = within(config.size, offset, data.length);
      config.write(Number(offset), data.subarray(0, count));
      return count;
    },
    ioctl(command, argument, caller) {
      check('ENOTTY');
      return ioctls.run(fn, command, argument, caller);
    },
    ioctlRow: (command) => ioctls.get(command),
    describe: () => path,
  };
}

const configFile = (fn: PciFunction, path: string): FileNode => ({
  kind: 'file',
  key: fn,
  volatile: true,
  attributes: () => ({ mode: configSpace(fn).mode, size: fn.config.size }),
  open: (_, caller) => openConfig(fn, path, caller),
});

/** `1c.0` on bus 0000:00. */
function onBus(model: Model): Children<PciBus, PciFunction> {
  return {
    names: (bus) => model.functionsOn(bus).map(({ bdf }) => bdf.slice(-4)),
    find(bus, name) {
      const fn = findFunction(model.host, `${busName(bus)}:${name}`);
      return fn?.present ? fn : undefined;
    },
  };
}

/** __pci_proc_attach_bus(): domain 0 is not named. */
const directoryName = (bus: PciBus): string => busName(bus).replace(/^0000:/, '');

/** Buses that a function has been found on, which have a directory until they go (pci_bus.procdir). */
function buses(model: Model): Children<void, PciBus> {
  const known = new Map<string, PciBus>();
  const seen = new WeakSet<PciBus>();
  const found = (fn: PciFunction) => {
    const bus = model.busOf(fn);
    if (seen.has(bus)) return;
    seen.add(bus);
    known.set(directoryName(bus), bus);
  };
  for (const fn of model.host.functions.values()) found(fn);
  model.host.changes.subscribe((change) => {
    if (change.kind === 'function-added') found(change.function);
  });
  return {
    *names() {
      for (const [name, bus] of known) if (model.isThere(bus)) yield name;
    },
    find(_, name) {
      const bus = known.get(name);
      return bus && model.isThere(bus) ? bus : undefined;
    },
  };
}

export function busPci(model: Model): Entry<void> {
  const onOne = new DirectoryClass<PciBus>(
    [family('file', onBus(model), (fn, { path }) => configFile(fn, path))],
    { mode: 0o555, key: (bus) => bus, alive: model.isThere, volatile: true },
  );
  const lines = () => [...model.host.functions.values()].map(deviceLine);
  return subdirectory(
    'bus',
    [
      subdirectory(
        'pci',
        [
          entry('file', 'devices', (_, { path }) =>
            plainFile({ mode: 0o444, path, show: () => render(lines()) }),
          ),
          directories(buses(model), onOne),
        ],
        { mode: 0o555 },
      ),
    ],
    { mode: 0o555 },
  );
}
