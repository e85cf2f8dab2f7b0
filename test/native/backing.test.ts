import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';
import { serveEachTest, server, start } from './served.js';

serveEachTest();

describe('backings', () => {
  it('refuse what is not /dev/fuse, and descriptors that are not open', async () => {
    await start('lookup', `${server.directory}/none`).line();
    const file = native().memfd('backing', 4096);
    expect(() => native().backingOpen(file, file)).toThrow(expect.objectContaining({ code: 'ENOTTY' }));
    expect(() => native().backingOpen(server.fd, 9999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native().backingClose(server.fd, 4242)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(native().counts().backings).toBe(0);
    native().close(file);
  });

  it('carry mmap of a client to a memfd', async () => {
    // INIT must be over; a look-up that is answered says so.
    await start('lookup', `${server.directory}/none`).line();
    const file = native().memfd('backing', 1 << 20);
    const memory = native().map(file, 0, 4096);
    memory.buffer[0] = 9;
    server.backingId = native().backingOpen(server.fd, file);
    server.openFlags = 1 | 32 | 128;
    expect(native().counts().backings).toBe(1);
    const client = start('mapped');
    expect(await client.line()).toBe('9');
    expect(await client.ask('')).toBe('stored');
    expect(memory.buffer[1]).toBe(42);
    await client.kill();
    native().backingClose(server.fd, server.backingId);
    expect(native().counts().backings).toBe(0);
    expect(() => native().backingClose(server.fd, server.backingId)).toThrow();
    memory.unmap();
    native().close(file);
  });

  it('are forgotten with their connection', async () => {
    await start('lookup', `${server.directory}/none`).line();
    const file = native().memfd('backing', 4096);
    native().backingOpen(server.fd, file);
    server.channel.close();
    expect(native().counts().backings).toBe(0);
    native().close(file);
  });
});
