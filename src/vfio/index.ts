export { containerIoctls } from './container-file.js';
export { VfioDevice } from './device.js';
export { boundCdevIoctls, groupDeviceIoctls, unboundCdevIoctls } from './device-ioctls.js';
export { VfioGroup } from './group.js';
export { groupIoctls } from './group-file.js';
export { Vfio, type VfioBackends } from './vfio.js';
