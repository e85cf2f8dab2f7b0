/** Whose byte is whose: header, visible capabilities and what lies between (vfio_cap_init(), vfio_ecap_init()). */
import {
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_EXT_CAP_BASE,
  PCI_EXT_CAP_HEADER_SIZEOF,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
} from '../../abi/pci/index.js';
import { extendedCapabilities, nextExtended, standardCapabilities } from './chain.js';
import { extendedRules } from './extended.js';
import { headerFields } from './header.js';
import type { Field, Rules } from './permissions.js';
import { standardRules } from './standard.js';

/** A stretch of configuration space with one set of rules. Accesses never cross its ends. */
export interface Area {
  readonly kind: 'header' | 'standard' | 'extended';
  /** Of the capability; 0 for the header. */
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

export interface ConfigMap {
  readonly areas: readonly Area[];
  /** Per byte, the index of its area + 1; 0 where no visible capability lies: raw hardware, read and write. */
  readonly owner: Uint16Array;
  /** 1 bits live in the shadow copy. */
  readonly virtual: Buffer;
  /** 1 bits can be written by the client. */
  readonly writable: Buffer;
  /** The shadow copy as it starts: hardware bytes, hidden capabilities unlinked. */
  readonly shadow: Buffer;
}

const EXTENDED_NEXT = 0xffc0_0000 >>> 0;

export function buildMap(hardware: Buffer): ConfigMap {
  const size = hardware.length;
  const areas: Area[] = [];
  const owner = new Uint16Array(size);
  const virtual = Buffer.alloc(size);
  const writable = Buffer.alloc(size, 0xff);
  const shadow = Buffer.from(hardware);

  function add(area: Area, fields: readonly Field[], raw = false): void {
    areas.push(area);
    owner.fill(areas.length, area.start, area.end);
    virtual.fill(0, area.start, area.end);
    writable.fill(raw ? 0xff : 0, area.start, area.end);
    for (const [offset, width, virtualBits, writableBits] of fields)
      for (let i = 0; i < width && area.start + offset + i < area.end; i++) {
        virtual[area.start + offset + i] = (virtualBits >>> (8 * i)) & 0xff;
        writable[area.start + offset + i] = (writableBits >>> (8 * i)) & 0xff;
      }
  }

  function addCapability(kind: 'standard' | 'extended', id: number, start: number, rules: Rules): void {
    const limit = kind === 'standard' ? PCI_EXT_CAP_BASE : size;
    const end = Math.min(start + rules.length(hardware, start), limit);
    add({ kind, id, start, end }, rules.fields(hardware, start), rules.raw);
    const [from, to] = kind === 'standard' ? [PCI_CAP_LIST_NEXT, 2] : [0, PCI_EXT_CAP_HEADER_SIZEOF];
    virtual.fill(0xff, start + from, start + to);
    writable.fill(0, start, start + to);
  }

  function addStandard(): void {
    let link = PCI_CAPABILITY_LIST;
    for (const { id, offset } of standardCapabilities(hardware)) {
      const rules = standardRules.get(id);
      if (!rules) continue;
      addCapability('standard', id, offset, rules);
      shadow[link] = offset;
      link = offset + PCI_CAP_LIST_NEXT;
    }
    shadow[link] = 0;
    if (link === PCI_CAPABILITY_LIST)
      shadow.writeUInt16LE(shadow.readUInt16LE(PCI_STATUS) & ~PCI_STATUS_CAP_LIST, PCI_STATUS);
  }

  function addExtended(): void {
    let link: number | undefined;
    let visible = 0;
    for (const { id, offset } of extendedCapabilities(hardware)) {
      const rules = extendedRules.get(id);
      const next = (nextExtended(hardware, offset) << 20) >>> 0;
      if (rules) {
        addCapability('extended', id, offset, rules);
        visible++;
        link = offset;
      } else if (link === undefined) {
        // Nothing before it to skip it from: a placeholder without id and version keeps the chain.
        add({ kind: 'extended', id: 0, start: offset, end: offset + PCI_EXT_CAP_HEADER_SIZEOF }, [
          [0, 4, 0xffffffff, 0],
        ]);
        shadow.writeUInt32LE((shadow.readUInt32LE(offset) & EXTENDED_NEXT) >>> 0, offset);
        link = offset;
      } else shadow.writeUInt32LE(((shadow.readUInt32LE(link) & ~EXTENDED_NEXT) | next) >>> 0, link);
    }
    if (link !== undefined && visible === 0) shadow.writeUInt32LE(0, PCI_EXT_CAP_BASE);
  }

  add({ kind: 'header', id: 0, start: 0, end: PCI_STD_HEADER_SIZEOF }, headerFields);
  addStandard();
  if (size > PCI_EXT_CAP_BASE) addExtended();
  return { areas, owner, virtual, writable, shadow };
}
