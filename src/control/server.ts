/** The control socket: a unix socket that only its owner may use. It must not lie on a mount that this process serves. */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { refuse } from '../abi/errno.js';
import type { Machine } from '../machine.js';
import { Views } from '../run/views.js';
import { Connection, type Limits } from './connection.js';

/** More clients than this at once are turned away. */
const mostConnections = 64;
/** sun_path of sockaddr_un, less its NUL; Node cuts longer ones silently. */
const longestPath = 107;

export interface Control {
  readonly path: string;
  /** Cuts every client off, ends the views they asked for, and removes the socket. */
  close(): Promise<void>;
}

/** Where the control socket of a host mounted on `directory` (an absolute path) is when nobody says otherwise. */
export function defaultSocket(directory: string): string {
  return `${directory.replace(/\/+$/, '') || '/vfiofs'}.sock`;
}

/**
 * Serves `machine` at `path` (absolute). What a killed daemon left there is replaced. EADDRINUSE: somebody answers there; EEXIST:
 * something else is there; ENAMETOOLONG.
 */
export async function startControl(machine: Machine, path: string, limits?: Limits): Promise<Control> {
  if (Buffer.byteLength(path) > longestPath)
    refuse('ENAMETOOLONG', `${path}: a socket's path has at most ${longestPath} bytes`);
  await clear(path);
  const sockets = new Set<Socket>();
  const views = new Views(machine);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    new Connection(machine, views, socket, limits);
  });
  server.maxConnections = mostConnections;
  await listen(server, path);
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        views.close();
        // Node removes the socket's name.
        server.close(() => resolve());
      }),
  };
}

/** A socket that nobody listens on goes. */
async function clear(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) refuse('EEXIST', `${path} is there and no socket`);
  if (await answers(path)) refuse('EADDRINUSE', `somebody serves ${path} already`);
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // bind(2) makes the name, within this call: with 0600 from its first moment.
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}
