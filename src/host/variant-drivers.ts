/** Variant drivers that come with the kernel (drivers/vfio/pci/*): which devices they are for, and what those get from them. */
import type { DriverDescription, ProfileDescription } from './description.js';

/** A driver that gives its devices to user space as vfio-pci does, and more with them. */
export type VariantDriver = DriverDescription & { readonly vfio: NonNullable<DriverDescription['vfio']> };

const allOfMigration = { flags: ['stop-copy', 'p2p', 'pre-copy'] } as const;

/** Of virtio_vfio_pci: each with the migration of the driver, and without. */
const virtioProfiles: readonly ProfileDescription[] = [
  { name: 'native', description: 'the VF as it is', legacyIo: false },
  {
    name: 'native-no-migration',
    description: 'the VF as it is, which stays where it is',
    legacyIo: false,
    migration: false,
  },
  { name: 'transitional', description: 'with legacy ids and an I/O BAR 0', legacyIo: true },
  {
    name: 'transitional-no-migration',
    description: 'with legacy ids and an I/O BAR 0, which stays where it is',
    legacyIo: true,
    migration: false,
  },
];

/** Each named as its module, by KBUILD_MODNAME. */
export const builtInVariants: readonly VariantDriver[] = [
  {
    name: 'mlx5_vfio_pci',
    ids: [{ vendor: 0x15b3, device: 0x101e }],
    // mlx5vf_cmd_set_migratable(): VFs whose PF mlx5_core has.
    vfio: { migration: allOfMigration, dmaLogging: true, vfsOf: ['mlx5_core'] },
  },
  {
    name: 'virtio_vfio_pci',
    ids: [
      { vendor: 0x1af4, device: 0x1041 },
      { vendor: 0x1af4, device: 0x1042 },
    ],
    // virtiovf_pci_probe(): VFs whose PF virtio-pci has.
    vfio: {
      migration: allOfMigration,
      legacyIo: true,
      vfsOf: ['virtio-pci'],
      profiles: virtioProfiles,
    },
  },
  {
    name: 'hisi_acc_vfio_pci',
    // VFs of the SEC, HPRE and ZIP engines.
    ids: [0xa256, 0xa259, 0xa251].map((device) => ({ vendor: 0x19e5, device })),
    // hisi_acc_get_pf_qm().
    vfio: {
      migration: { flags: ['stop-copy', 'pre-copy'] },
      vfsOf: ['hisi_sec2', 'hisi_hpre', 'hisi_zip'],
      // QM_HW_V3: older engines can't be saved (hisi_acc_vfio_pci_probe()).
      pfRevision: 0x30,
    },
  },
];

/** Those of a machine: the kernel's, unless the description has its own of that name, and the description's. */
export function variantsOf(described: readonly DriverDescription[]): VariantDriver[] {
  const replaced = new Set(described.map(({ name }) => name));
  return [
    ...builtInVariants.filter(({ name }) => !replaced.has(name)),
    ...described.filter((driver): driver is VariantDriver => driver.vfio !== undefined),
  ];
}
