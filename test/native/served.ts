/** A FUSE server of its own for every test of a file, and clients of it that end with the test. */
import { afterEach, beforeEach } from 'vitest';
import { Client, compile } from './client.js';
import { FuseServer } from './fuse-server.js';

export let server: FuseServer;
let clients: Client[];

/** A client program on `path` of the server, by default its one file. */
export function start(program: string, path = server.file, ...more: string[]): Client {
  const client = new Client(compile(program), [path, ...more]);
  clients.push(client);
  return client;
}

export function serveEachTest(): void {
  beforeEach(() => {
    server = new FuseServer();
    clients = [];
  });
  afterEach(async () => {
    server.stop();
    for (const client of clients) await client.kill();
  });
}
