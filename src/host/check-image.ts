/** A captured configuration space against the keys beside it: what is wrong with itself, what it lacks, and where the two contradict. */
import * as pci from '../abi/pci/index.js';
import { type BarKinds, imageBars, imageVfBars } from './completed.js';
import { typeNumber } from './config-capabilities.js';
import { type ConfigImage, expressType, findCapability, readImage } from './config-image.js';
import type { BarDescription, FunctionDescription } from './description.js';
import { hex, type Report } from './problem.js';

/** False when the rest of `row` can't be judged. Paths are below the function. */
export function checkImage(row: FunctionDescription, report: Report): boolean {
  let sound = true;
  const note: Report = (path, message) => {
    sound = false;
    report(path, message);
  };
  checkMissing(row, note);
  if (row.sriov !== false && row.sriov?.config) checkVfImage(readImage(row.sriov.config), note);
  if (!row.config) return sound;
  const image = readImage(row.config);
  for (const problem of image.problems) note(['config'], problem);
  if (!sound) return false;
  if (image.bytes.readUInt16LE(pci.PCI_VENDOR_ID) === 0xffff && row.vendor === undefined)
    note(['config'], 'vendor 0xffff: nobody answered there (VFs belong under sriov.config)');
  checkKind(row, image, note);
  if (row.model === undefined) checkBars(row.bars, imageBars(image, row), ['bars'], note);
  const vfBars = imageVfBars(image);
  if (row.sriov !== false) checkBars(row.sriov?.bars, vfBars, ['sriov', 'bars'], note);
  checkMessages(row, image, note);
  return sound;
}

/** Keys that only a captured space can stand in for. */
function checkMissing(row: FunctionDescription, note: Report): void {
  const image = row.config && readImage(row.config);
  const kindless = (bars: readonly BarDescription[] | undefined, path: (string | number)[]) =>
    bars?.forEach((bar, i) => {
      if (bar.kind === undefined)
        note([...path, i], 'kind is missing: expected one of memory32, memory64, io');
    });
  if (!image) kindless(row.bars, ['bars']);
  if (!row.sriov) return;
  const captured = image?.extended.some(({ id }) => id === pci.PCI_EXT_CAP_ID_SRIOV);
  if (captured) return;
  kindless(row.sriov.bars, ['sriov', 'bars']);
  const needed = { totalVfs: 'total_vfs', offset: 'offset', vfDevice: 'vf_device' } as const;
  for (const [key, name] of Object.entries(needed))
    if (row.sriov[key as keyof typeof needed] === undefined && !(key === 'vfDevice' && row.sriov.model))
      note(['sriov'], `${name} is missing: expected it, or a config with an SR-IOV capability`);
}

function checkVfImage(image: ConfigImage, note: Report): void {
  for (const problem of image.problems) note(['sriov', 'config'], problem);
  const express = findCapability(image, pci.PCI_CAP_ID_EXP);
  if (image.problems.length === 0 && !express)
    note(['sriov', 'config'], 'no PCI Express capability: expected a VF to have one');
}

/** Whether it is a bridge, and what sort of PCIe function. */
function checkKind(row: FunctionDescription, image: ConfigImage, note: Report): void {
  const bridge = (image.bytes.readUInt8(pci.PCI_HEADER_TYPE) & 0x7f) === pci.PCI_HEADER_TYPE_BRIDGE;
  if (bridge && !row.bridge) note(['config'], 'header type 1: expected a bridge key beside it');
  if (!bridge && row.bridge) note(['bridge'], 'the captured header has type 0: expected none');
  const express = findCapability(image, pci.PCI_CAP_ID_EXP);
  const type = express && expressType(express);
  const said = row.bridge?.kind ?? (row.pcie ? row.pcie.type : undefined);
  const path = row.bridge ? ['bridge', 'kind'] : ['pcie', 'type'];
  const wanted = said && typeNumber(said);
  if (said !== undefined && wanted !== type && bridge === (row.bridge !== undefined))
    note(path, `${said}: the captured function is ${typeName(type)}`);
}

function typeName(type: number | undefined): string {
  const names = ['endpoint', 'legacy-endpoint', 'rc-endpoint'] as const;
  const ports = ['root-port', 'upstream-port', 'downstream-port', 'pcie-to-pci'] as const;
  const name = [...names, ...ports].find((one) => typeNumber(one) === type);
  if (type === undefined) return 'conventional';
  return name ?? `of PCIe type ${hex(type)}`;
}

/** Every BAR that the image has needs a size, and has the kind that its register says. */
function checkBars(
  rows: readonly BarDescription[] | undefined,
  kinds: BarKinds,
  path: readonly (string | number)[],
  note: Report,
): void {
  for (const [index, { kind }] of kinds)
    if (!rows?.some((row) => row.index === index))
      note(path, `BAR ${index} (${kind}) has no size: expected a row with index ${index} and its size`);
  rows?.forEach((row, i) => {
    const found = kinds.get(row.index) ?? { kind: 'memory32', prefetchable: false };
    const upper = kinds.get(row.index - 1)?.kind === 'memory64';
    if (upper) note([...path, i, 'index'], `BAR ${row.index} is the upper half of BAR ${row.index - 1}`);
    else if (row.kind !== undefined && row.kind !== found.kind)
      note([...path, i, 'kind'], `${row.kind}: the captured register says ${found.kind}`);
    if (row.prefetchable !== undefined && row.prefetchable !== found.prefetchable)
      note(
        [...path, i, 'prefetchable'],
        `${row.prefetchable}: the captured register says ${found.prefetchable}`,
      );
  });
}

/** Numbers of vectors may differ; what changes the capability's length may not. */
function checkMessages(row: FunctionDescription, image: ConfigImage, note: Report): void {
  const msi = findCapability(image, pci.PCI_CAP_ID_MSI)?.bytes;
  if (msi && row.msi) {
    const maskable = (msi.readUInt16LE(pci.PCI_MSI_FLAGS) & pci.PCI_MSI_FLAGS_MASKBIT) !== 0;
    if ((row.msi.maskable ?? false) !== maskable)
      note(['msi', 'maskable'], `${row.msi.maskable ?? false}: the captured capability says ${maskable}`);
  }
}
