export { ControlClient, ControlError } from './client.js';
export { defaultLimits, type Limits } from './connection.js';
export { methods } from './methods.js';
export { type Control, defaultSocket, startControl } from './server.js';
