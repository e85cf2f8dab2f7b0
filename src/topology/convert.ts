/** From what a topology file says (schema-valid, snake_case) to a HostDescription. */
import { mapAlike } from '../host/alike.js';
import type {
  DriverDescription,
  FunctionDescription,
  HostDescription,
  IommuOptions,
} from '../host/description.js';
import { parseRegisters } from './registers.js';

type Row = Readonly<Record<string, unknown>>;

/** Keys whose contents are other people's names and stay as written. */
const opaque = new Set(['options', 'modules', 'read_only', 'read_write']);

export function camelCase(key: string): string {
  return !key.includes('_') ? key : key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The path into a HostDescription as a path into the file. */
export function snakePath(path: readonly (string | number)[]): (string | number)[] {
  const end = path.findIndex((step) => opaque.has(snakeCase(String(step))));
  return path.map((step, i) => (typeof step === 'number' || (end >= 0 && i > end) ? step : snakeCase(step)));
}

export function toDescription({ functions, ...file }: Row): HostDescription {
  const { profiles, ...described } = camelKeys(file) as Row & { iommu?: Row };
  return {
    ...described,
    ...(profiles !== undefined && { profilesFile: profiles as string }),
    // Rows alike share what they say.
    functions: mapAlike(functions as readonly Row[], toFunctionDescription),
    ...(described.iommu && { iommu: toIommu(described.iommu) }),
    ...(described.drivers !== undefined && { drivers: (described.drivers as Row[]).map(toDriver) }),
  };
}

function toDriver({ vfio, ...row }: Row): DriverDescription {
  const { profiles, ...offered } = (vfio ?? {}) as Row;
  const made = { ...offered, ...(profiles !== undefined && { profiles: toProfiles(profiles as Row[]) }) };
  return { ...row, ...(vfio !== undefined && { vfio: made }) } as unknown as DriverDescription;
}

/** One row of `functions`. */
export function toFunctionDescription(row: Row): FunctionDescription {
  return toFunction(camelKeys(row) as Row);
}

function camelKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelKeys);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  const renamed: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value))
    renamed[camelCase(key)] = opaque.has(key) ? field : camelKeys(field);
  return renamed;
}

function toIommu(row: Row): IommuOptions {
  const sizes = row.pageSizes as readonly (number | string)[] | undefined;
  return {
    ...row,
    ...(sizes && { pageSizes: sizes.reduce((bits, size) => bits | BigInt(toSize(size)), 0n) }),
  };
}

/** Rows whose `size` may be written `16K`. */
const toSized = (rows: readonly Row[]) =>
  rows.map((row) => ({ ...row, size: toSize(row.size as number | string) }));

const toBars = (bars: readonly Row[]) =>
  toSized(bars).map(({ sizes, ...bar }: Row) => ({
    ...bar,
    ...(sizes !== undefined && { sizes: (sizes as (number | string)[]).map(toSize) }),
  }));

/** Profiles say the same as functions, in the same words. */
const toProfiles = (rows: readonly Row[]): Row[] => rows.map((row) => toFunction(row) as unknown as Row);

const toRegisters = (text: string) => parseRegisters(text).bytes;

/** Keywords are nobody's to change, and camelKeys() has left them. */
const toVpd = (vpd: Row | string) => (typeof vpd === 'string' ? toBytes(vpd) : vpd);

const converters: Record<string, (value: never) => unknown> = {
  bars: toBars,
  trapped: toSized,
  config: toRegisters,
  vpd: toVpd,
  sriov: (sriov: Row | false) =>
    sriov && {
      ...sriov,
      ...(sriov.bars !== undefined && { bars: toBars(sriov.bars as Row[]) }),
      ...(sriov.config !== undefined && { config: toRegisters(sriov.config as string) }),
      ...(sriov.profiles !== undefined && { profiles: toProfiles(sriov.profiles as Row[]) }),
    },
  profiles: toProfiles,
  romSize: toSize,
  // A file's contents come as they are.
  rom: (rom: string | Uint8Array) => (typeof rom === 'string' ? toBytes(rom) : rom),
  interruptPin: (pin: number | string) => (typeof pin === 'string' ? 'ABCD'.indexOf(pin) + 1 : pin),
  capabilities: toCapabilities,
  extendedCapabilities: toCapabilities,
  reservedRegions: (regions: readonly Row[]) =>
    regions.map((region) => ({ ...region, start: toAddress(region.start), end: toAddress(region.end) })),
};

function toFunction(row: Row): FunctionDescription {
  const fields: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(row)) fields[key] = converters[key]?.(value as never) ?? value;
  return fields as unknown as FunctionDescription;
}

function toCapabilities(rows: readonly Row[]): Row[] {
  return rows.map((row) => ({ ...row, bytes: toBytes(row.bytes as string) }));
}

function toBytes(text: string): Uint8Array {
  return Buffer.from(text.replace(/\s/g, ''), 'hex');
}

/** `16K` as 16384. */
function toSize(size: number | string): number {
  if (typeof size === 'number') return size;
  const unit = 'KMGT'.indexOf(size.at(-1)!) + 1;
  return Number.parseInt(size, 10) * 1024 ** unit;
}

function toAddress(value: unknown): bigint {
  return BigInt(value as number | string);
}
