export { ControlClient, ControlError } from './client.js';
export { defaultLimits, type Limits } from './connection.js';
export { methods } from './methods.js';
export { RemoteViews } from './remote-views.js';
export { type Control, defaultSocket, startControl } from './server.js';
