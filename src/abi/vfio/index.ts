export * from './capability-chain.js';
export * from './cdev.js';
export * from './device.js';
export * from './feature.js';
export * from './group.js';
export * from './ioctls.js';
