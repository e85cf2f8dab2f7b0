export * from './ioctls.js';
export * from './structs.js';
