export * from './capabilities.js';
export * from './classes.js';
export * from './further.js';
export * from './lengths.js';
export * from './proc.js';
export * from './registers.js';
