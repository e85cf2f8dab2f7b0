/**
 * The machine on paper: every function with its place, shape, addresses and group, before any object exists. Config spaces and
 * BAR memory are made from it when somebody asks, so that ten thousand functions cost ten thousand plans.
 */

import { PCI_CLASS_SYSTEM_IOMMU, PCI_HEADER_TYPE, PCI_HEADER_TYPE_MFD } from '../abi/pci/index.js';
import type { FunctionShape, ModelDefinition } from '../devices/contract.js';
import { assignAddresses } from './addresses.js';
import { firstAlike } from './alike.js';
import { type Bdf, formatBdf, type PciAddress, parseBdf } from './bdf.js';
import { takeCapturedAddresses } from './captured-addresses.js';
import { type CompleteBar, type CompleteDescription, complete } from './completed.js';
import { type ConfigImage, readImage } from './config-image.js';
import type { FunctionDescription, HostDescription, ProfileDescription } from './description.js';
import { assignGroups } from './grouping.js';
import type { BusPlace } from './host.js';
import { findModel, type ModelLookup } from './models.js';
import type { Bridge, PciFunction } from './pci-function.js';
import { initialProfile, withProfile } from './profiles.js';
import { romBar } from './rom.js';
import { resolveShape } from './shape.js';
import { withVfModel } from './virtual-model.js';
import { lastVfBus } from './virtual-plan.js';

/** A bridge whose numbers and windows are being found out. */
export type BridgePlan = { -readonly [K in keyof Bridge]: Bridge[K] } & {
  /** The kernel has written its windows (pci_setup_bridge()), so that nothing is left of firmware's. */
  setUp?: boolean;
};

export interface BarPlan extends Omit<CompleteBar, 'size'> {
  /** Changes when a resizable one is resized. */
  size: number;
  address: bigint;
  /** When it was found again there was no room: the address is what the register says, and nothing is there. */
  lost?: boolean;
}

/** The expansion ROM. */
export interface RomPlan {
  readonly size: number;
  address: bigint;
  /** What the register says, where that is not the address. */
  register?: bigint;
  /** As that of a BAR. */
  lost?: boolean;
}

/** What a function is: all that another profile of it can change. */
export interface FunctionForm {
  /** With what the captured configuration space and the profile say. */
  description: CompleteDescription;
  definition: ModelDefinition | undefined;
  shape: FunctionShape;
  bars: readonly (BarPlan | undefined)[];
  rom: RomPlan;
  irq: number;
  /** Its profile; undefined: it has none. */
  profile: ProfileDescription | undefined;
}

export interface FunctionPlan extends FunctionForm {
  /** As described, without a profile. */
  readonly own: FunctionDescription;
  /** What it needs room for in each of its profiles. */
  readonly forms: readonly Pick<FunctionForm, 'bars' | 'rom'>[];
  /** The captured configuration space. */
  readonly image: ConfigImage | undefined;
  /** The captured registers where what firmware left in them is kept. */
  readonly setup?: Buffer;
  readonly bdf: Bdf;
  readonly address: PciAddress;
  readonly bridge: BridgePlan | undefined;
  /** VF BARs of a PF: size of one VF's, address of the first VF's. */
  readonly vfBars: readonly (BarPlan | undefined)[];
  /** What makes the VFs of a PF work. */
  readonly vfModel: ModelDefinition | undefined;
  /** What a virtual function belongs to. */
  readonly virtual?: { readonly pf: FunctionPlan; readonly index: number };
  /** Of a mediated device, whose `bdf` is its UUID: the function it was made of. */
  readonly mediatedBy?: PciFunction;
  /** Another function shares the slot. */
  multifunction: boolean;
  parent: FunctionPlan | undefined;
  readonly children: FunctionPlan[];
  /** What stood in its registers when it was removed: as long as it has power, it is found again with that. */
  readonly left: {
    registers?: Buffer | undefined;
    /** It is not there until a rescan finds it: what it had is free. */
    away?: boolean;
  };
  /** Of a port: `off` when its hot-plug controller keeps the power from what is in the slot, so nothing is found there. */
  readonly slot: { off: boolean };
  /** IOMMU group number; undefined without an IOMMU. */
  group: number | undefined;
  /** Which window of the group's pages: members are counted from 0. */
  window: number;
}

export interface RootPlan {
  readonly domain: number;
  readonly bus: number;
  readonly functions: FunctionPlan[];
}

export interface MachinePlan {
  readonly roots: readonly RootPlan[];
  /** By domain, bus, devfn: the order in which the kernel finds and numbers them. */
  readonly functions: FunctionPlan[];
}

/** `0000:80` as its numbers. */
export function parseRootBus(text: string): { domain: number; bus: number } | undefined {
  const address = parseBdf(`${text}:00.0`);
  return address && { domain: address.domain, bus: address.bus };
}

/** `description` has passed checkDescription(). */
export function planMachine(description: HostDescription, models: ModelLookup): MachinePlan {
  const captured = description.firmware === 'captured';
  const firsts = firstAlike(description.functions);
  const planned = new Map<FunctionDescription, FunctionPlan>();
  const functions = description.functions.map((row, i) => {
    const profile = initialProfile(row, description.chosenProfiles?.[row.bdf]);
    const plan = planFunction(row, models, captured, profile, planned.get(firsts[i]!));
    if (firsts[i] === row) planned.set(row, plan);
    return plan;
  });
  functions.sort((a, b) => compareAddresses(a.address, b.address));
  const roots: RootPlan[] = (description.rootBuses ?? ['0000:00'])
    .map((text) => ({ ...parseRootBus(text)!, functions: [] }))
    .sort((a, b) => a.domain - b.domain || a.bus - b.bus);
  link(roots, functions);
  if (description.firmware === 'captured') takeCapturedAddresses(roots);
  else assignAddresses(roots);
  const kind = description.iommu?.kind;
  const grouped = kind === 'amd' ? functions.filter((fn) => !isAmdIommu(fn)) : functions;
  if (kind !== 'none') assignGroups(grouped, description.numbersFrom?.group);
  return { roots, functions };
}

export function compareAddresses(a: PciAddress, b: PciAddress): number {
  return a.domain - b.domain || a.bus - b.bus || a.device - b.device || a.function - b.function;
}

/** AMD's IOMMU is a function, at the address that firmware's table (IVRS) names, and translates nothing of its own. */
export const amdIommu = '0000:00:00.2' as Bdf;
export const isAmdIommu = ({ bdf, shape }: Pick<FunctionPlan, 'bdf' | 'shape'>): boolean =>
  bdf === amdIommu && shape.classCode >> 8 === PCI_CLASS_SYSTEM_IOMMU;

export function isBelow(plan: FunctionPlan, bus: BusPlace): boolean {
  for (let at: FunctionPlan | undefined = plan; at; at = at.parent) {
    const { domain, bus: number } = at.address;
    const onIt = bus.bridge
      ? at.parent?.bdf === bus.bridge.bdf
      : !at.parent && domain === bus.domain && number === bus.number;
    if (onIt) return true;
  }
  return false;
}

/** The function alone: no neighbours, addresses or group yet. */
export function planFunction(
  row: FunctionDescription,
  models: ModelLookup,
  capturedSetup = false,
  profile: ProfileDescription | undefined = initialProfile(row),
  /** Of a row that says the same (firstAlike()): what it says has been understood. */
  alike?: FunctionPlan,
): FunctionPlan {
  const description = withVfModel(complete(withProfile(row, profile)), models);
  const address = parseBdf(description.bdf)!;
  const { image, definition, shape, forms, vfModel } =
    alike && alike.profile === profile ? alike : understood(row, description, models);
  const pin = shape.interruptPin ?? 0;
  return {
    own: row,
    forms,
    description,
    profile,
    image,
    ...(capturedSetup && image && { setup: image.bytes }),
    definition,
    bdf: formatBdf(address),
    address,
    shape,
    bridge: description.bridge && {
      kind: description.bridge.kind,
      secondary: description.bridge.secondary,
      subordinate: description.bridge.subordinate ?? description.bridge.secondary,
      io: undefined,
      memory: undefined,
      prefetchable: undefined,
    },
    bars: planBars(shape.bars),
    vfBars: description.sriov ? planBars(description.sriov.bars ?? []) : [],
    vfModel,
    rom: planRom(description),
    // The usual swizzle of a PC: eight lines from 16, by slot and pin.
    irq: description.irq ?? (pin === 0 ? 0 : 16 + ((address.device + pin - 1) % 8)),
    // A device with one function in use may still be one of several.
    multifunction: ((image?.bytes[PCI_HEADER_TYPE] ?? 0) & PCI_HEADER_TYPE_MFD) !== 0,
    parent: undefined,
    children: [],
    slot: { off: false },
    left: {},
    group: undefined,
    window: 0,
  };
}

/** What does not depend on where it stands. */
function understood(
  row: FunctionDescription,
  description: CompleteDescription,
  models: ModelLookup,
): Pick<FunctionPlan, 'image' | 'definition' | 'shape' | 'forms' | 'vfModel'> {
  const definition = findModel(models, description.model);
  return {
    image: description.config && readImage(description.config),
    definition,
    shape: resolveShape(description, definition),
    forms: (row.profiles ?? []).map((one) => {
      const other = complete(withProfile(row, one));
      return { bars: planBars(resolveShape(other, definition).bars), rom: planRom(other) };
    }),
    vfModel: findModel(models, description.sriov?.model),
  };
}

function planRom({ romSize, rom }: CompleteDescription): FunctionForm['rom'] {
  return { size: romSize ?? (rom ? romBar(rom.length) : 0), address: 0n };
}

function planBars(specs: readonly CompleteBar[]): (BarPlan | undefined)[] {
  const bars: (BarPlan | undefined)[] = [undefined, undefined, undefined, undefined, undefined, undefined];
  for (const bar of specs) bars[bar.index] = { ...bar, address: 0n };
  return bars;
}

/** Hangs functions below their bridge or root, and finds slot mates and subordinate numbers. */
function link(roots: RootPlan[], functions: readonly FunctionPlan[]): void {
  const bus = (domain: number, number: number) => `${domain}:${number}`;
  const owners = new Map<string, RootPlan | FunctionPlan>(
    roots.map((root) => [bus(root.domain, root.bus), root]),
  );
  const slots = new Map<string, FunctionPlan[]>();
  for (const fn of functions) if (fn.bridge) owners.set(bus(fn.address.domain, fn.bridge.secondary), fn);
  for (const fn of functions) {
    const owner = owners.get(bus(fn.address.domain, fn.address.bus))!;
    if ('bdf' in owner) {
      fn.parent = owner;
      owner.children.push(fn);
    } else owner.functions.push(fn);
    const slot = fn.bdf.slice(0, -2);
    const mates = slots.get(slot);
    if (mates) mates.push(fn);
    else slots.set(slot, [fn]);
  }
  for (const mates of slots.values()) if (mates.length > 1) for (const fn of mates) fn.multifunction = true;
  for (const fn of functions) {
    // Numbers for the VFs are reserved, too (pci_iov_bus_range()).
    const lowest = Math.max(fn.bridge?.subordinate ?? 0, fn.description.sriov ? lastVfBus(fn) : 0);
    for (let up = fn.parent; up; up = up.parent)
      if (up.description.bridge!.subordinate === undefined)
        up.bridge!.subordinate = Math.max(up.bridge!.subordinate, lowest);
  }
}
