export * from './capabilities.js';
export * from './classes.js';
export * from './registers.js';
