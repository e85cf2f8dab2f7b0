import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';
import { script } from './fixtures.js';
import { serveEachTest, server, start } from './served.js';

const { ENODEV, ENOENT, EBADF, EINVAL, ENOTTY, ETIMEDOUT } = constants.errno;

serveEachTest();

describe('createChannel', () => {
  it('refuses a bad descriptor and a buffer the kernel would refuse', () => {
    expect(() => native().createChannel(-1, 1 << 20)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native().createChannel(server.fd, 4096)).toThrow(RangeError);
  });

  it('starts once', () => {
    expect(() =>
      server.channel.start(
        () => undefined,
        () => undefined,
      ),
    ).toThrow(expect.objectContaining({ code: 'EBUSY' }));
  });

  it('takes Uint8Arrays only', () => {
    expect(() => server.channel.reply('no' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => server.channel.reply(new Uint16Array(8) as unknown as Uint8Array)).toThrow(TypeError);
  });

  it('can start before somebody else mounts the descriptor', async () => {
    const fd = native().openFuse();
    const channel = native().createChannel(fd, 1 << 20);
    const first = new Promise<number>((resolve) => {
      channel.start(
        () => resolve(channel.buffer.readUInt32LE(4)),
        () => undefined,
      );
    });
    native().mountFuse(fd, server.directory, 'second', 'rootmode=40000,user_id=0,group_id=0');
    expect(await first).toBe(26);
    native().unmount(server.directory, true);
    channel.close();
  });
});

describe('requests', () => {
  it('are answered while a client waits', async () => {
    server.onIoctl = ({ unique, command }) => {
      expect(command).toBe(0x3b01);
      expect(server.answer(unique, 7)).toBe(0);
    };
    expect(await start('flood').line()).toBe('7');
  });

  it('are followed by their microtasks and ticks before the next', async () => {
    const seen: string[] = [];
    await new Promise<void>((resolve) => {
      server.onIoctl = async ({ unique, argument }) => {
        seen.push(`request ${argument}`);
        process.nextTick(() => seen.push(`tick ${argument}`));
        await undefined;
        seen.push(`microtask ${argument}`);
        server.answer(unique, 0);
        if (argument === 1n) resolve();
      };
      start('flood');
    });
    expect(seen.slice(0, 4)).toEqual(['request 0', 'tick 0', 'microtask 0', 'request 1']);
  });

  it('without end leave timers and other handles their turn', async () => {
    let served = 0;
    server.onIoctl = ({ unique }) => {
      served++;
      server.answer(unique, 0);
    };
    await start('flood').line();
    while (served < 1000) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
  });

  it.each([0, 1, 1000])('come through with a spin of %i µs', async (microseconds) => {
    server.channel.setSpin(microseconds);
    const enough = new Promise<void>((resolve) => {
      server.onIoctl = ({ unique, argument }) => {
        server.answer(unique, 0);
        if (argument === 300n) resolve();
      };
    });
    start('flood');
    await enough;
  });

  it('answered twice, or never asked, are ENOENT', async () => {
    const answers = await new Promise<number[]>((resolve) => {
      server.onIoctl = ({ unique }) => {
        server.onIoctl = () => undefined;
        resolve([server.answer(unique, 0), server.answer(unique, 0)]);
      };
      start('flood');
    });
    expect(answers).toEqual([0, ENOENT]);
    expect(server.fail(123456n, ENOTTY)).toBe(ENOENT);
    expect(server.channel.reply(Buffer.alloc(3))).toBe(EINVAL);
  });

  it('whose handler throws are uncaught exceptions, and the next ones come all the same', async () => {
    const body = `
      process.on('uncaughtException', (error) => console.log(error.message));
      let count = 0;
      const channel = n.createChannel(3, 8192);
      channel.start((length) => {
        if (count++ === 0) throw new Error('first');
        console.log('second', length);
        Promise.reject(new Error('third'));
      }, (errno) => console.log('closed', errno));`;
    const child = spawn(process.execPath, script(body), { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    let output = '';
    const said = (text: string) =>
      new Promise<void>((resolve) => {
        const look = () => output.includes(text) && resolve();
        child.stdout!.on('data', look);
        look();
      });
    child.stdout!.on('data', (data: Buffer) => {
      output += data;
    });
    const requests = child.stdio[3] as Duplex;
    requests.write('a');
    await said('first');
    requests.write('bc');
    await said('third');
    requests.destroy();
    expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(0);
    expect(output).toBe('first\nsecond 2\nthird\nclosed 19\n');
  });
});

describe('pollElsewhere', () => {
  it('gives up on an answer that does not come, and hears one that does', async () => {
    const asked = new Promise<bigint>((resolve) => {
      server.onIoctl = ({ unique }) => resolve(unique);
    });
    const client = start('flood');
    await asked;
    const handle = native().openProcess(client.pid);
    const copy = handle.getFd(3);
    expect(native().fdLink(copy)).toBe(server.file);
    const unanswered: bigint[] = [];
    server.onPoll = (unique) => unanswered.push(unique);
    expect(await native().pollElsewhere(copy, 0, 10)).toBe(ETIMEDOUT);
    const events: number[] = [];
    server.onPoll = (unique, wanted) => {
      events.push(wanted);
      server.reply(unique, 0, Buffer.alloc(8));
    };
    expect(await native().pollElsewhere(copy, 0x2142, 5000)).toBe(0);
    const errorAndHangUp = 0x18; // come unasked
    expect(events).toEqual([0x2142 | errorAndHangUp]);
    for (const unique of unanswered) server.fail(unique, ENOTTY);
    native().closeElsewhere(copy);
    handle.close();
  });
});

describe('the end', () => {
  it('by unmounting is ENODEV', async () => {
    native().unmount(server.directory, false);
    expect(await server.closed).toBe(ENODEV);
    native().mountFuse(
      native().openFuse(),
      server.directory,
      'for-stop',
      'rootmode=40000,user_id=0,group_id=0',
    );
  });

  it('by close() aborts the connection, and later calls say EBADF', async () => {
    const client = start('flood');
    await new Promise<void>((resolve) => {
      server.onIoctl = () => resolve();
    });
    server.channel.close();
    server.channel.close();
    expect(await client.line()).toBe('-1');
    expect(server.channel.reply(Buffer.alloc(16))).toBe(EBADF);
    expect(await server.channel.notify(Buffer.alloc(16))).toBe(EBADF);
  });
});
