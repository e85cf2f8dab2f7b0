export type {
  Access,
  AddressSpace,
  BoundDevice,
  DmaSpace,
  IommufdFile,
  Piece,
  Translation,
  Type1,
} from './contract.js';
export { isIommufd } from './contract.js';
export { openIommufd } from './iommufd/file.js';
export { iommufdIoctls } from './iommufd/table.js';
export { PhysicalSpace } from './physical.js';
export { createType1 } from './type1/type1.js';
