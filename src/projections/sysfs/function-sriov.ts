/**
 * SR-IOV of a function: the attributes of a PF, and how PF and VFs point at each other (drivers/pci/iov.c). DPDK and libvirt count VFs by
 * virtfnN up to the first gap; the Kubernetes device plugin cuts three characters off the text of these links.
 */
import { refuse } from '../../abi/errno.js';
import type { PciFunction, SriovState } from '../../host/pci-function.js';
import { usableVfs } from '../../host/sriov.js';
import type { Model } from '../context.js';
import { type Children, type Entry, link, links, text } from '../kit/directory.js';
import { parseBool, parseInteger, parseNumber } from '../kit/parse.js';
import { paths } from '../paths.js';

const isPf = (fn: PciFunction) => fn.sriov !== undefined;
export const isVf = (fn: PciFunction) => fn.physfn !== undefined;

/** An attribute of PFs that only tells. */
const told = (name: string, show: (sriov: SriovState) => number | string): Entry<PciFunction> =>
  text(name, { when: isPf, show: (fn) => show(fn.sriov!) });

/** virtfnN by name; they are there before a VF is probed, and gone before its driver lets go. */
const virtual: Children<PciFunction, PciFunction> = {
  names: (fn) => [...(fn.sriov?.vfs.keys() ?? [])].map((index) => `virtfn${index}`),
  find(fn, name) {
    const match = /^virtfn(0|[1-9][0-9]*)$/.exec(name);
    return match ? fn.sriov?.vfs.get(Number(match[1])) : undefined;
  },
};

function isLinked(fn: PciFunction): boolean {
  for (const vf of fn.physfn?.sriov?.vfs.values() ?? []) if (vf === fn) return true;
  return false;
}

export function sriov({ host }: Model): Entry<PciFunction>[] {
  return [
    text('sriov_totalvfs', { when: isPf, show: usableVfs }),
    // The write waits until VFs are registered and probed, or removed and let go.
    text('sriov_numvfs', {
      when: isPf,
      show: (fn) => fn.sriov!.numVfs,
      store: (fn, content) => host.sriov.setNumVfs(fn, Number(parseNumber(content, 16))),
    }),
    told('sriov_offset', ({ offset }) => offset),
    told('sriov_stride', ({ stride }) => stride),
    told('sriov_vf_device', ({ vfDevice }) => vfDevice.toString(16)),
    text('sriov_drivers_autoprobe', {
      when: isPf,
      show: (fn) => Number(fn.sriov!.driversAutoprobe),
      store(fn, content) {
        fn.sriov!.driversAutoprobe = parseBool(content);
      },
    }),
    // No driver of this machine shares vectors among VFs.
    told('sriov_vf_total_msix', () => 0),
    text('sriov_vf_msix_count', {
      when: isVf,
      store(_fn, content) {
        if (parseInteger(content) < 0) refuse('EINVAL', 'fewer than no vectors');
        refuse('EOPNOTSUPP', "the PF's driver does not share vectors");
      },
    }),
    link('physfn', (fn) => paths.function(fn.physfn!), { when: isLinked, volatile: true }),
    link('dep_link', ({ sriov }) => paths.function(sriov!.dependency!), {
      when: ({ sriov }) => sriov?.dependency !== undefined,
      volatile: true,
    }),
    links(virtual, paths.function),
  ];
}
