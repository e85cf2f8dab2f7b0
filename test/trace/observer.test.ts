import { describe, expect, test, vi } from 'vitest';
import { refuse } from '../../src/abi/errno.js';
import { bytes, struct, u32, u64 } from '../../src/abi/struct.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { traceObserver, traceOptions } from '../../src/trace/index.js';
import { Dispatcher } from '../../src/vfs/dispatch.js';
import type { FileNode, OpenFile } from '../../src/vfs/node.js';

const info = struct('vfio_info', { argsz: u32, flags: u32, iova: u64, name: bytes(2) });

function traced(caller = fakeCaller({ pid: 7 })) {
  const lines: string[] = [];
  const print = (name: string) => (line: string) => void lines.push(`${name}: ${line}`);
  const observer = traceObserver({
    ioctl: print('ioctl'),
    device: print('device'),
    sysfs: print('sysfs'),
    file: print('file'),
    lookup: print('lookup'),
  });
  return { lines, caller, dispatcher: new Dispatcher([observer]) };
}

function ioctlFile(
  argument: 'integer' | 'none' | 'string' | 's32-pointer' | typeof info,
  run: () => number,
): OpenFile {
  return {
    describe: () => 'group 5',
    ioctlRow: (command) =>
      command === 0x3b64
        ? { name: 'VFIO_TEST', argument: typeof argument === 'string' ? argument : { struct: argument } }
        : undefined,
    ioctl: run,
  };
}

describe('ioctl lines', () => {
  test('a refusal shows its errno and reason, the struct as it was given: nothing of what lies behind argsz', () => {
    const { lines, caller, dispatcher } = traced();
    caller.map(0x1000n, info.encode({ argsz: 8, flags: 3, iova: 0x10000n, name: Buffer.of(1, 2) }));
    const file = ioctlFile(info, () => refuse('EINVAL', 'argsz is too small'));
    expect(() => dispatcher.ioctl('/dev/vfio/5', file, 0x3b64, 0x1000n, caller)).toThrow(/EINVAL/);
    expect(lines).toEqual([
      'ioctl: fake[7] /dev/vfio/5 [group 5] VFIO_TEST {argsz: 8, flags: 0x3} = EINVAL (argsz is too small)',
    ]);
  });

  test('a bad pointer and a number without a row read as numbers', () => {
    const { lines, caller, dispatcher } = traced();
    const file = ioctlFile(info, () => refuse('EFAULT', 'bad pointer'));
    expect(() => dispatcher.ioctl('/dev/vfio/5', file, 0x3b64, 0xdead0000n, caller)).toThrow();
    expect(() => dispatcher.ioctl('/dev/vfio/5', file, 0x1234, 5n, caller)).toThrow();
    expect(lines).toEqual([
      'ioctl: fake[7] /dev/vfio/5 [group 5] VFIO_TEST 0xdead0000 = EFAULT (bad pointer)',
      'ioctl: fake[7] /dev/vfio/5 [group 5] ioctl 0x1234 0x5 = EFAULT (bad pointer)',
    ]);
  });

  test('memory that is not resident is not waited for', () => {
    const { lines, caller, dispatcher } = traced(fakeCaller({ pid: 7, slowMemory: true }));
    dispatcher.ioctl(
      '/dev/vfio/5',
      ioctlFile(info, () => 0),
      0x3b64,
      0x9000n,
      caller,
    );
    expect(lines).toEqual(['ioctl: fake[7] /dev/vfio/5 [group 5] VFIO_TEST 0x9000 = 0']);
  });

  test('fields written back follow an arrow', () => {
    const { lines, caller, dispatcher } = traced();
    const given = info.encode({ argsz: 16, flags: 0, iova: 0n, name: Buffer.of(1, 2) });
    const memory = caller.map(0x1000n, given);
    // The kernel says what it has, and writes no further than the caller has room.
    const file = ioctlFile(info, () => memory.writeUInt32LE(9, 4) && memory.writeUInt32LE(18, 0) && 0);
    dispatcher.ioctl('/dev/vfio/5', file, 0x3b64, 0x1000n, caller);
    expect(lines[0]).toBe(
      'ioctl: fake[7] /dev/vfio/5 [group 5] VFIO_TEST {argsz: 16, flags: 0x0, iova: 0x0} → {argsz: 18, flags: 0x9} = 0',
    );
  });

  test.each([
    ['integer', 0xffff_ffff_ffff_fffen, 'VFIO_TEST -2 = 0'],
    ['none', 77n, 'VFIO_TEST = 0'],
    ['string', 0x1000n, 'VFIO_TEST "0000:00:04.0" = 0'],
    ['s32-pointer', 0x1100n, 'VFIO_TEST *0x1100 = -1 = 0'],
    ['s32-pointer', 0x0n, 'VFIO_TEST 0x0 = 0'],
  ] as const)('argument of kind %s', (shape, argument, expected) => {
    const { lines, caller, dispatcher } = traced();
    caller.map(0x1000n, 4096).write('0000:00:04.0\0rest');
    caller.map(0x1100n, Buffer.from([255, 255, 255, 255]));
    dispatcher.ioctl(
      '/dev/vfio/5',
      ioctlFile(shape, () => 0),
      0x3b64,
      argument,
      caller,
    );
    expect(lines[0]).toBe(`ioctl: fake[7] /dev/vfio/5 [group 5] ${expected}`);
  });
});

describe('other lines', () => {
  const file: OpenFile = { read: () => Buffer.from('0x8086\n'), write: (_, data) => data.length };

  test('namespaces follow the path, data is text or hex', async () => {
    const { lines, caller, dispatcher } = traced();
    const node: FileNode = { kind: 'file', attributes: () => ({ mode: 0o644 }), open: () => file };
    await dispatcher.open('/sys/x/vendor', node, { flags: 0, reads: true, writes: false }, caller);
    dispatcher.read('/sys/x/vendor', file, 0n, 4096, caller);
    dispatcher.write('/dev/vfio/5', file, 1n << 40n, Buffer.alloc(20, 0xab), caller);
    dispatcher.read('/proc/modules', file, 0n, 10, caller);
    expect(lines).toEqual([
      'sysfs: fake[7] /sys/x/vendor open read-only = ok',
      'sysfs: fake[7] /sys/x/vendor read 4096 at 0x0 = 7 "0x8086\\n"',
      `device: fake[7] /dev/vfio/5 write ${'ab '.repeat(16)}… 4 more at 0x10000000000 = 20`,
      'file: fake[7] /proc/modules read 10 at 0x0 = 7 "0x8086\\n"',
    ]);
  });

  test('lookups need no caller; a missing name gives its reason', () => {
    const { lines, dispatcher } = traced();
    const directory = {
      kind: 'directory' as const,
      attributes: () => ({ mode: 0o755 }),
      lookup: () => undefined,
      names: () => ['a'],
    };
    dispatcher.names('/sys', directory);
    expect(() => dispatcher.lookup('/sys', directory, 'b')).toThrow();
    expect(lines).toEqual([
      'lookup: /sys readdir = 1 names',
      'lookup: /sys lookup b = ENOENT (no b in /sys)',
    ]);
  });

  test('a namespace that is off costs nothing: begin gives no end', () => {
    const observer = traceObserver({ ioctl: () => expect.unreachable() });
    const node = { kind: 'symlink' as const, attributes: () => ({ mode: 0o777 }), target: () => 'x' };
    expect(observer.begin({ op: 'readlink', path: '/a', node }, undefined)).toBeUndefined();
  });
});

describe('DEBUG', () => {
  test('nothing without it, an observer with it', async () => {
    const { default: createDebug } = await import('debug');
    expect(traceOptions()).toEqual({});
    createDebug.enable('vfiofs:ioctl');
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      const { observers, log } = traceOptions();
      expect(log).toBeUndefined();
      const dispatcher = new Dispatcher(observers);
      dispatcher.ioctl(
        '/dev/vfio/vfio',
        ioctlFile('integer', () => 0),
        0x3b64,
        1n,
        fakeCaller({ pid: 7 }),
      );
      expect(write.mock.calls.join('')).toMatch(/vfiofs:ioctl .*VFIO_TEST 1 = 0/);
      createDebug.enable('vfiofs:device');
      traceOptions().log?.('0000:00:04.0', '100 % done');
      expect(write.mock.calls.join('')).toMatch(/vfiofs:device .*0000:00:04\.0 100 % done/);
    } finally {
      createDebug.disable();
      write.mockRestore();
    }
  });
});
