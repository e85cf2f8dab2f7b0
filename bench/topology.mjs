/**
 * A plausible machine of N functions: root buses in several domains, on each a few multi-function root ports, and behind every port a card of
 * one to eight functions: disks, network ports, DMA engines and accelerators that vfio-pci holds, and some that nobody drives.
 */

const portsPerRoot = 24;
const rootsOfDomain = [0x00, 0x40, 0x80, 0xc0];

const hex = (value, digits) => value.toString(16).padStart(digits, '0');
const bdf = (domain, bus, device, fn) => `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${fn}`;

const bars = (size) => [{ index: 0, kind: 'memory64', size, prefetchable: true }];
const msix = (vectors) => ({ vectors, bar: 0, table_offset: 0x2000, pba_offset: 0x3000 });
const pcie = { type: 'endpoint', flr: true };

const port = {
  vendor: 0x8086,
  device: 0x2030,
  class: 0x060400,
  msi: { vectors: 1 },
  link: { speed: 16, width: 16 },
};

const disk = {
  vendor: 0x144d,
  device: 0xa808,
  class: 0x010802,
  subsystem_vendor: 0x144d,
  subsystem_device: 0xa801,
  bars: bars('16K'),
  msix: msix(33),
  pcie,
  link: { speed: 8, width: 4 },
  driver: 'nvme',
};

const networkPort = {
  vendor: 0x8086,
  device: 0x1521,
  class: 0x020000,
  subsystem_vendor: 0x8086,
  subsystem_device: 0x00a2,
  bars: bars('128K'),
  msix: msix(10),
  msi: { vectors: 1, maskable: true },
  pcie,
  link: { speed: 5, width: 4 },
  interrupt_pin: 'A',
  driver: 'igb',
};

const accelerator = {
  vendor: 0x10de,
  device: 0x20b5,
  class: 0x030200,
  subsystem_vendor: 0x10de,
  subsystem_device: 0x1533,
  bars: bars('16M'),
  msix: msix(6),
  pcie,
  link: { speed: 16, width: 16 },
  driver: 'vfio-pci',
};

const idle = {
  vendor: 0x1af4,
  device: 0x1041,
  class: 0x020000,
  subsystem_vendor: 0x1af4,
  subsystem_device: 0x1100,
  bars: bars('16K'),
  msix: msix(3),
  pcie,
  driver: 'none',
};

/** What can stand behind a port: functions of a card, and what each is. */
const cards = [
  [1, disk],
  [4, networkPort],
  [8, { model: 'ioat', options: { channels: 1 }, driver: 'vfio-pci' }],
  [2, accelerator],
  [8, idle],
];

function* allFunctions(roots) {
  for (let domain = 0; ; domain++)
    for (const root of rootsOfDomain) {
      roots.push(`${hex(domain, 4)}:${hex(root, 2)}`);
      for (let i = 0; i < portsPerRoot; i++) {
        const secondary = root + 1 + i;
        const bridge = { kind: 'root-port', secondary };
        yield { bdf: bdf(domain, root, 1 + (i >> 3), i % 8), ...port, bridge };
        const [functions, row] = cards[i % cards.length];
        for (let fn = 0; fn < functions; fn++) yield { bdf: bdf(domain, secondary, 0, fn), ...row };
      }
    }
}

/** The data of a topology file with exactly `count` functions. */
export function topology(count) {
  const roots = [];
  const functions = [];
  for (const row of allFunctions(roots)) {
    functions.push(row);
    if (functions.length === count) break;
  }
  return { name: `${count} functions`, root_buses: roots, functions };
}
