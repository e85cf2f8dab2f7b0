/** What /proc/<pid>/fd calls a data_fd. */
import type { PciDriver } from '../../host/driver.js';

/** After anon_inode_getfile() of each driver. */
const known: Readonly<Record<string, string>> = {
  mlx5_vfio_pci: 'mlx5vf_mig',
  virtio_vfio_pci: 'virtiovf_mig',
  hisi_acc_vfio_pci: 'hisi_acc_vf_mig',
};

/** Of others, which the kernel hasn't got, one of the same sort. */
export const fileNameOf = (driver: PciDriver | undefined): string => known[driver?.name ?? ''] ?? 'vfio_mig';
