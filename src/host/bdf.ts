/** PCI addresses as Linux writes them: DDDD:BB:DD.F, lower-case hexadecimal (pci_name()). */

export type Bdf = string & { readonly __brand: 'Bdf' };

export interface PciAddress {
  /** 0…0xffffffff; printed with at least four digits. */
  readonly domain: number;
  readonly bus: number;
  readonly device: number;
  readonly function: number;
}

const pattern = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;

export function formatBdf(address: PciAddress): Bdf {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0');
  return `${hex(address.domain, 4)}:${hex(address.bus, 2)}:${hex(address.device, 2)}.${address.function}` as Bdf;
}

/** A full, lower-case BDF with a device number up to 0x1f. */
export const isBdf = (text: string): boolean => pattern.test(text);

/** undefined when `text` is not a full, lower-case BDF or the device number is above 0x1f. */
export function parseBdf(text: string): PciAddress | undefined {
  if (!isBdf(text)) return undefined;
  // The domain is of four digits and up; what follows it has its place from the end.
  return {
    domain: Number.parseInt(text.slice(0, -8), 16),
    bus: Number.parseInt(text.slice(-7, -5), 16),
    device: Number.parseInt(text.slice(-4, -2), 16),
    function: Number(text.at(-1)),
  };
}

/** `bdf`, in whichever domain `domains` has in place of its own. */
export function movedBdf(bdf: string, domains: ReadonlyMap<number, number>): Bdf {
  const at = parseBdf(bdf)!;
  return formatBdf({ ...at, domain: domains.get(at.domain) ?? at.domain });
}

/** Slot and function as one byte: device << 3 | function. */
export function devfn(address: PciAddress): number {
  return (address.device << 3) | address.function;
}
