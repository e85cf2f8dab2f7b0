/** Matching of ids, and the syntax of new_id and remove_id (drivers/pci/pci-driver.c). */
import { refuse } from '../abi/errno.js';
import type { PciDriver, PciId } from './driver.js';

/** The numbers that struct pci_dev is matched by. */
export interface Identity {
  readonly vendor: number;
  readonly device: number;
  readonly subvendor: number;
  readonly subdevice: number;
  readonly class: number;
}

export interface DynamicIdText {
  readonly id: PciId;
  readonly driverData: bigint;
  /** All seven fields were given. */
  readonly complete: boolean;
  /** As the probe device of new_id: what is left out counts as PCI_ANY_ID in 16 bits. */
  readonly identity: Identity;
}

/** pci_match_one_device(): a class without a mask means all 24 bits. */
export function matchesId(id: PciId, identity: Identity): boolean {
  const equal = (wanted: number | undefined, actual: number) => wanted === undefined || wanted === actual;
  const mask = id.class === undefined ? 0 : (id.classMask ?? 0xffffff);
  return (
    equal(id.vendor, identity.vendor) &&
    equal(id.device, identity.device) &&
    equal(id.subvendor, identity.subvendor) &&
    equal(id.subdevice, identity.subdevice) &&
    (((id.class ?? 0) ^ identity.class) & mask) === 0
  );
}

/** The driver's table as it counts for a function without driver_override. */
export function matchesTable(driver: PciDriver, dynamic: readonly PciId[], identity: Identity): boolean {
  return (
    dynamic.some((id) => matchesId(id, identity)) ||
    driver.ids.some((id) => !id.overrideOnly && matchesId(id, identity))
  );
}

const any = 0xffff_ffff;
const optional = (value: number): number | undefined => (value === any ? undefined : value);

/** sscanf("%x %x %x %x %x %x %lx"): stops at the first word that is no number. EINVAL below two. */
export function parseDynamicId(text: string): DynamicIdText {
  const words = scanHex(text, 7);
  if (words.length < 2) refuse('EINVAL', `"${text.trim()}" has fewer than two hexadecimal numbers`);
  const number = (index: number, missing: number) =>
    words[index] === undefined ? missing : Number(BigInt.asUintN(32, words[index]));
  const [vendor, device, subvendor, subdevice] = [
    number(0, any),
    number(1, any),
    number(2, any),
    number(3, any),
  ];
  const classCode = number(4, 0);
  const withoutUndefined = Object.entries({
    vendor: optional(vendor),
    device: optional(device),
    subvendor: optional(subvendor),
    subdevice: optional(subdevice),
  }).filter(([, value]) => value !== undefined);
  return {
    id: { ...Object.fromEntries(withoutUndefined), class: classCode, classMask: number(5, 0) },
    driverData: words[6] ?? 0n,
    complete: words.length === 7,
    identity: {
      vendor: vendor & 0xffff,
      device: device & 0xffff,
      subvendor: subvendor & 0xffff,
      subdevice: subdevice & 0xffff,
      class: classCode,
    },
  };
}

function scanHex(text: string, most: number): bigint[] {
  const words: bigint[] = [];
  const pattern = /\s*(?:0[xX](?=[0-9a-fA-F]))?([0-9a-fA-F]+)/y;
  while (words.length < most) {
    const match = pattern.exec(text);
    if (!match) break;
    words.push(BigInt(`0x${match[1]}`));
  }
  return words;
}

/** remove_id: the first dynamic id equal to what was written. -1: none. */
export function findDynamicId(dynamic: readonly PciId[], written: PciId): number {
  return dynamic.findIndex(
    (id) =>
      id.vendor === written.vendor &&
      id.device === written.device &&
      (written.subvendor === undefined || id.subvendor === written.subvendor) &&
      (written.subdevice === undefined || id.subdevice === written.subdevice) &&
      (((id.class ?? 0) ^ (written.class ?? 0)) & (written.classMask ?? 0)) === 0,
  );
}
