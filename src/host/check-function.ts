/** One function of a description: names that must exist, and a shape that hardware could have. */
import type { FunctionShape } from '../devices/contract.js';
import { functionNames } from './attribute-names.js';
import { parseBdf } from './bdf.js';
import { checkAttributes } from './check-attributes.js';
import { checkCapabilities } from './check-capabilities.js';
import { checkImage } from './check-image.js';
import { checkMigration } from './check-migration.js';
import { checkProfiles } from './check-profiles.js';
import { checkSriov } from './check-sriov.js';
import { type CompleteBar, type CompleteDescription, complete } from './completed.js';
import type { FunctionDescription } from './description.js';
import { findModel, type ModelLookup } from './models.js';
import { largestBar } from './pages.js';
import { hex, type Report } from './problem.js';
import { largestRom, smallestRom } from './rom.js';
import { resolveShape } from './shape.js';
import { didYouMean, list } from './suggest.js';
import { vpdCapacity, vpdContents } from './vpd.js';

const PAGE_SIZE = 4096;
/** A function's window of file offsets has room for sixteen regions, nine of which every device has. */
const MOST_REGIONS = 7;

/** PCI_CLASS_BRIDGE_PCI */
const bridgeClass = 0x0604;

export interface Known {
  readonly models: ModelLookup;
  readonly drivers: readonly string[];
}

/** `report` takes paths below the function. */
export function checkFunction(given: FunctionDescription, known: Known, report: Report): void {
  checkNames(given, known, report);
  const place = { taken: functionNames, drivers: known.drivers, sort: 'function' } as const;
  checkAttributes(given.attributes, place, report);
  if (given.sriov)
    checkAttributes(given.sriov.attributes, place, (path, message) => report(['sriov', ...path], message));
  if (!checkImage(given, report)) return;
  const row = complete(given);
  checkNumbers(row, report);
  checkVpd(row, report);
  checkReserved(row, report);
  if (row.model !== undefined && !findModel(known.models, row.model)) return;
  const shape = shapeOf(row, known.models, report);
  if (!shape) return;
  let sound = true;
  const note: Report = (path, message) => {
    sound = false;
    report(path, message);
  };
  // The kernel takes neither for what it says it is (pci_setup_device(): "doesn't match header type").
  if (given.class !== undefined && given.class >> 8 === bridgeClass && !given.bridge)
    note(['class'], `${hex(given.class)}: a bridge needs its bridge key`);
  if (given.bridge && shape.classCode >> 8 !== bridgeClass)
    note(
      [given.class === undefined ? 'bridge' : 'class'],
      `${hex(shape.classCode)}: expected 0x0604xx for a bridge`,
    );
  checkBars(shape.bars, row, note);
  checkMessages(shape, note);
  checkTrapped(shape, note);
  checkSriov(row, shape, known.models, note);
  const definition = findModel(known.models, row.model);
  checkMigration(row.migration, { bars: shape.bars, definition }, note);
  checkProfiles(row.profiles, { row: given, models: known.models }, report);
  if (row.bridge && (row.migration || row.dmaLogging))
    note([row.migration ? 'migration' : 'dmaLogging'], 'a bridge has no vfio client');
  if (row.irq && !shape.interruptPin)
    note(['irq'], `${row.irq}: a function without an interrupt pin (interrupt_pin) has no line`);
  const { capabilities, extendedCapabilities, config, serialNumber } = row;
  const listed = capabilities ?? extendedCapabilities ?? config ?? serialNumber;
  if (listed !== undefined && sound && parseBdf(row.bdf)) checkCapabilities(given, known.models, report);
}

function checkNames(row: FunctionDescription, { models, drivers }: Known, report: Report): void {
  if (row.model !== undefined && !findModel(models, row.model)) {
    const names = [...models.names()];
    report(
      ['model'],
      `unknown model "${row.model}"${didYouMean(row.model, names)}; there are: ${list(names)}`,
    );
  }
  if (row.model === undefined && row.options) report(['options'], 'options need a model');
  if (row.model !== undefined && row.bars)
    report(['bars'], `model ${row.model} has its own BARs: expected none here`);
  if (row.driver !== undefined && row.driver !== 'none' && !drivers.includes(row.driver))
    report(
      ['driver'],
      `unknown driver "${row.driver}"${didYouMean(row.driver, drivers)}; expected none or one of ${list(drivers)} (further ones are described under drivers)`,
    );
}

function checkNumbers(row: CompleteDescription, report: Report): void {
  const within = (key: keyof CompleteDescription, low: number, high: number, as = hex) => {
    const value = row[key];
    if (value === undefined) return;
    if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return;
    report(
      [key],
      `${typeof value === 'number' ? as(value) : String(value)}: expected ${as(low)} to ${as(high)}`,
    );
  };
  for (const key of ['vendor', 'device'] as const) {
    if (row.model === undefined && row[key] === undefined)
      report([key], `${key} is missing: expected one, or a model that has it`);
    within(key, 0, 0xfffe);
  }
  within('subsystemVendor', 0, 0xffff);
  within('subsystemDevice', 0, 0xffff);
  within('class', 0, 0xffffff);
  within('revision', 0, 0xff);
  within('interruptPin', 0, 4, String);
  within('iommuGroup', 0, 0x7fffffff, String);
  within('numaNode', -1, 1023, String);
  within('irq', 0, 254, String);
  if (row.romSize !== undefined && !isPowerOfTwo(row.romSize, smallestRom, largestRom))
    report(['romSize'], `${row.romSize}: expected a power of two from 2 KiB to 16 MiB`);
  else if (row.rom && (row.rom.length === 0 || row.rom.length > (row.romSize ?? largestRom)))
    report(['rom'], `${row.rom.length} bytes: expected 1 to ${row.romSize ?? largestRom}, as the BAR has`);
  if (row.onboard && (row.onboard.index === undefined) === (row.onboard.acpiIndex === undefined))
    report(['onboard'], 'expected index (SMBIOS) or acpi_index (ACPI)');
  if (row.serialNumber !== undefined && !/^[0-9a-f]{2}(-[0-9a-f]{2}){7}$/.test(row.serialNumber))
    report(
      ['serialNumber'],
      `"${row.serialNumber}": expected eight pairs of hexadecimal digits, 00-11-22-33-44-55-66-77`,
    );
  const capabilities = [
    ['capabilities', 0xff],
    ['extendedCapabilities', 0xffff],
  ] as const;
  for (const [key, highest] of capabilities)
    row[key]?.forEach(({ id }, i) => {
      if (!Number.isInteger(id) || id < 1 || id > highest)
        report([key, i, 'id'], `${id}: expected 0x1 to ${hex(highest)}`);
    });
}

function checkReserved(row: CompleteDescription, report: Report): void {
  row.reservedRegions?.forEach(({ start, end }, i) => {
    if (start < 0n || end <= start)
      report(
        ['reservedRegions', i],
        `${hex(start)} to ${hex(end)}: expected an end (inclusive) above the start`,
      );
  });
}

/** A model may refuse options that its schema lets through. */
function shapeOf(row: CompleteDescription, models: ModelLookup, report: Report): FunctionShape | undefined {
  try {
    return resolveShape(row, findModel(models, row.model));
  } catch (error) {
    report(['options'], `model ${row.model} refuses them: ${(error as Error).message}`);
    return undefined;
  }
}

export function checkBars(bars: readonly CompleteBar[], row: CompleteDescription, report: Report): void {
  const last = row.bridge ? 1 : 5;
  const taken = new Map<number, string>();
  bars.forEach((bar, i) => {
    const wide = bar.kind === 'memory64';
    if (!Number.isInteger(bar.index) || bar.index < 0 || bar.index + (wide ? 1 : 0) > last)
      report(
        ['bars', i, 'index'],
        `${bar.index}: expected 0 to ${wide ? last - 1 : last} for ${bar.kind}${row.bridge ? ' of a bridge' : ''}`,
      );
    const by = taken.get(bar.index) ?? (wide ? taken.get(bar.index + 1) : undefined);
    if (by) report(['bars', i, 'index'], `BAR ${bar.index} collides with ${by}`);
    taken.set(bar.index, `BAR ${bar.index}`);
    if (wide) taken.set(bar.index + 1, `the upper half of BAR ${bar.index}`);
    const [low, high] =
      bar.kind === 'io' ? [4, 256] : bar.kind === 'memory32' ? [16, 2 ** 28] : [16, largestBar];
    if (!isPowerOfTwo(bar.size, low, high))
      report(
        ['bars', i, 'size'],
        `${bar.size}: expected a power of two from ${low} to ${hex(high)} for ${bar.kind}`,
      );
    if (bar.sizes) checkSizes(bar, i, report);
  });
}

export function checkMessages({ msix, msi, bars }: FunctionShape, report: Report): void {
  if (msi && ![1, 2, 4, 8, 16, 32].includes(msi.vectors))
    report(['msi', 'vectors'], `${msi.vectors}: expected 1, 2, 4, 8, 16 or 32`);
  if (!msix) return;
  if (!Number.isInteger(msix.vectors) || msix.vectors < 1 || msix.vectors > 2048) {
    report(['msix', 'vectors'], `${msix.vectors}: expected 1 to 2048`);
    return;
  }
  const { pbaBar = msix.bar } = msix;
  const pbaLength = 8 * Math.ceil(msix.vectors / 64);
  const parts = [
    {
      key: 'tableOffset',
      barKey: 'bar',
      index: msix.bar,
      start: msix.tableOffset,
      length: 16 * msix.vectors,
    },
    { key: 'pbaOffset', barKey: 'pbaBar', index: pbaBar, start: msix.pbaOffset, length: pbaLength },
  ] as const;
  for (const { key, barKey, index, start, length } of parts) {
    const bar = bars.find((row) => row.index === index);
    if (!bar || bar.kind === 'io') {
      report(['msix', barKey], `${index}: expected the index of a memory BAR`);
      return;
    }
    if (!Number.isInteger(start) || start % 8 !== 0 || start < 0 || start + length > bar.size)
      report(
        ['msix', key],
        `${hex(start)}: expected a multiple of 8 with ${length} bytes left in BAR ${bar.index} (${bar.size} bytes)`,
      );
  }
  const [table, pba] = parts;
  if (table.index !== pba.index) return;
  if (table.start < pba.start + pba.length && pba.start < table.start + table.length)
    report(
      ['msix', 'pbaOffset'],
      `${hex(pba.start)}: overlaps the table at ${hex(table.start)} (${table.length} bytes)`,
    );
}

function checkTrapped({ trapped = [], regions = [], bars }: FunctionShape, report: Report): void {
  if (regions.length > MOST_REGIONS)
    report(['model'], `it has ${regions.length} regions of its own: expected at most ${MOST_REGIONS}`);
  trapped.forEach(({ bar: index, offset, size }, i) => {
    const bar = bars.find((row) => row.index === index);
    if (!bar || bar.kind === 'io') {
      report(['trapped', i, 'bar'], `${index}: expected the index of a memory BAR`);
      return;
    }
    if (offset % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0 || size === 0 || offset + size > bar.size)
      report(
        ['trapped', i],
        `${hex(offset)}, ${size} bytes: expected whole pages of BAR ${index} (${bar.size} bytes)`,
      );
  });
}

function isPowerOfTwo(value: number, low: number, high: number): boolean {
  return value >= low && value <= high && Number.isInteger(Math.log2(value));
}

function checkVpd({ vpd }: CompleteDescription, report: Report): void {
  if (vpd === undefined) return;
  if (!(vpd instanceof Uint8Array))
    for (const part of ['readOnly', 'readWrite'] as const)
      for (const [key, text] of Object.entries(vpd[part] ?? {}))
        if (!/^[A-Z][A-Z0-9]$/.test(key) || key === 'RV' || text.length > 255)
          report(
            ['vpd', part, key],
            `"${text}": expected a two-character keyword (not RV) and 255 characters`,
          );
  const { length } = vpdContents(vpd);
  if (length > vpdCapacity) report(['vpd'], `${length} bytes: expected ${vpdCapacity} at most`);
}

/** What the ReBAR capability can say: 1 MiB to 128 TiB, the size of now among them. */
function checkSizes({ kind, size, sizes }: CompleteBar, index: number, report: Report): void {
  const wrong = sizes!.find((one) => !isPowerOfTwo(one, 2 ** 20, 2 ** 47));
  if (wrong !== undefined)
    report(['bars', index, 'sizes'], `${wrong}: expected powers of two from 1 MiB to 128 TiB`);
  else if (kind === 'io') report(['bars', index, 'sizes'], 'io: only memory BARs can be resized');
  else if (!sizes!.includes(size))
    report(['bars', index, 'size'], `${size}: expected one of the sizes that it can be given`);
}
