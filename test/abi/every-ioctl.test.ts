/** Every ioctl of the interface has a test file of its own, named after it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { IommufdIoctl } from '../../src/abi/iommufd/index.js';
import { ContainerIoctl, DeviceIoctl, GroupIoctl, MigrationIoctl } from '../../src/abi/vfio/index.js';

const folders = ['vfio', 'vfio/migration', 'iommu/type1', 'iommu/iommufd'];
const names = [ContainerIoctl, GroupIoctl, DeviceIoctl, MigrationIoctl, IommufdIoctl].flatMap(Object.keys);

test.each(names)('%s', (name) => {
  const own = /^(?:VFIO|IOMMU)_(?=[A-Z_]*$)(.*)$/.exec(name)![1]!.toLowerCase().replaceAll('_', '-');
  const files = folders.map((folder) => join(import.meta.dirname, '..', folder, `${own}.test.ts`));
  expect(files.filter((file) => existsSync(file))).toHaveLength(1);
});
