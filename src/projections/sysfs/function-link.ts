/** Conditional attributes of PCIe functions and bridges, read from their configuration space. */
import { PCI_CAP_ID_EXP, PCI_EXP_LNKCAP, PCI_EXP_LNKSTA, PCI_EXT_CAP_ID_DSN } from '../../abi/pci/index.js';
import { linkOf, linkState } from '../../host/aspm.js';
import { readExpress } from '../../host/express.js';
import type { PciFunction } from '../../host/pci-function.js';
import { type Entry, subdirectory, text } from '../kit/directory.js';
import { parseBool } from '../kit/parse.js';

/** pcie_link_speed[], pci_speed_string(). */
const speeds: Record<number, string> = {
  1: '2.5 GT/s PCIe',
  2: '5.0 GT/s PCIe',
  3: '8.0 GT/s PCIe',
  4: '16.0 GT/s PCIe',
  5: '32.0 GT/s PCIe',
  6: '64.0 GT/s PCIe',
};

const isPcie = (fn: PciFunction) => fn.config.find(PCI_CAP_ID_EXP) !== undefined;

/** Both LNKCAP and LNKSTA have the speed in bits 0-3 and the width in bits 4-9. */
const speed = (value: number) => speeds[value & 0xf] ?? 'Unknown';
const width = (value: number) => (value >> 4) & 0x3f;

/** Of the bus below a bridge (bus->cur_bus_speed, bus->max_bus_speed): Unknown without a PCIe bridge above. */
export const currentSpeed = (bridge: PciFunction | undefined): string =>
  bridge && isPcie(bridge) ? speed(readExpress(bridge, PCI_EXP_LNKSTA, 2)) : 'Unknown';
export const maximalSpeed = (bridge: PciFunction | undefined): string =>
  bridge && isPcie(bridge) ? speed(readExpress(bridge, PCI_EXP_LNKCAP, 4)) : 'Unknown';

/** PCIE_LNK_WIDTH_UNKNOWN, printed as it is (pcie_get_width_cap()). */
const unknownWidth = 255;

/** `00-11-22-33-44-55-66-77`, most significant byte first (serial_number_show()). */
function serialNumber(fn: PciFunction): string | undefined {
  const found = fn.config.extended.find(({ id }) => id === PCI_EXT_CAP_ID_DSN);
  if (!found) return undefined;
  const { offset } = found;
  const bytes = Buffer.from(fn.config.bytes.subarray(offset + 4, offset + 12)).reverse();
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('-');
}

/** At the lower end of a link both of whose ends can do it (aspm_ctrl_attrs_are_visible()). */
const powerState = (name: string, state: number): Entry<PciFunction> =>
  text(name, {
    when: (fn) => ((linkOf(fn)?.capable ?? 0) & state) !== 0,
    show: (fn) => Number((linkOf(fn)!.enabled & state) !== 0),
    store: (fn, content) => linkOf(fn)!.allow(state, parseBool(content)),
  });

export const links: readonly Entry<PciFunction>[] = [
  text('current_link_speed', { when: isPcie, show: (fn) => speed(readExpress(fn, PCI_EXP_LNKSTA, 2)) }),
  text('current_link_width', { when: isPcie, show: (fn) => width(readExpress(fn, PCI_EXP_LNKSTA, 2)) }),
  text('max_link_speed', { when: isPcie, show: (fn) => speed(readExpress(fn, PCI_EXP_LNKCAP, 4)) }),
  text('max_link_width', {
    when: isPcie,
    show(fn) {
      const capability = readExpress(fn, PCI_EXP_LNKCAP, 4);
      return capability === 0 ? unknownWidth : width(capability);
    },
  }),
  text('serial_number', {
    mode: 0o400,
    // One of zeros counts as none (pci_dev_attrs_are_visible()).
    when: (fn) => /[^0-]/.test(serialNumber(fn) ?? ''),
    show: (fn) => serialNumber(fn)!,
  }),
  text('secondary_bus_number', {
    when: (fn) => fn.isBridge,
    show: (fn) => fn.bridge!.secondary,
  }),
  text('subordinate_bus_number', {
    when: (fn) => fn.isBridge,
    show: (fn) => fn.bridge!.subordinate,
  }),
  subdirectory('link', [
    text('clkpm', {
      when: (fn) => linkOf(fn)?.clockCapable === true,
      show: (fn) => Number(linkOf(fn)!.clockEnabled),
      store: (fn, content) => linkOf(fn)!.allowClock(parseBool(content)),
    }),
    powerState('l0s_aspm', linkState.L0S),
    powerState('l1_aspm', linkState.L1),
    powerState('l1_1_aspm', linkState.L1_1),
    powerState('l1_2_aspm', linkState.L1_2),
    powerState('l1_1_pcipm', linkState.L1_1_PCIPM),
    powerState('l1_2_pcipm', linkState.L1_2_PCIPM),
  ]),
];
