import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fuseNativeTransport, type RunningFuseNative } from '../../src/transports/fuse-native/index.js';
import { Dispatcher } from '../../src/vfs/dispatch.js';
import { SampleTree } from '../conformance/tree.js';
import { worksHere } from './works-here.js';

const run = promisify(execFile);

async function isMounted(path: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .some((line) => line.split(' ')[4] === path);
}

describe.runIf(await worksHere('fuse-native'))('fuse-native', () => {
  let parent: string;
  let directory: string;
  let tree: SampleTree;
  const running: RunningFuseNative[] = [];
  const serve = async (target = directory): Promise<RunningFuseNative> => {
    const one = await fuseNativeTransport.serve(tree.root, new Dispatcher(), target);
    running.push(one);
    return one;
  };

  beforeEach(async () => {
    parent = await mkdtemp(join(tmpdir(), 'vfiofs-native-'));
    directory = join(parent, 'mount $(touch escaped) `x` "y"');
    await mkdir(directory);
    tree = new SampleTree();
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await one.stop();
    await rmdir(directory);
    await rm(parent, { recursive: true });
  });

  it('refuses a mount point that is missing, a file, or taken; and leaves nothing mounted', async () => {
    await expect(serve(join(parent, 'missing'))).rejects.toThrow('ENOENT');
    await writeFile(join(parent, 'file'), '');
    await expect(serve(join(parent, 'file'))).rejects.toThrow('not a directory');
    await serve();
    await expect(serve()).rejects.toThrow('already');
    expect(await isMounted(join(parent, 'missing'))).toBe(false);
    const { stdout } = await run('cat', [join(directory, 'text')]);
    expect(stdout).toBe('0x8086\n'); // the first one still serves
  });

  it('prints attributes without padding, and takes commands from a shell', async () => {
    await serve();
    expect((await run('cat', [join(directory, 'text'), join(directory, 'long')])).stdout).toBe(
      `0x8086\n${'abcdefghij'.repeat(1000)}`,
    );
    await run('sh', ['-c', 'echo 0000:00:04.0 > "$0"', join(directory, 'command')]);
    expect(tree.commands).toEqual(['0000:00:04.0']);
    await expect(run('bash', ['-c', 'echo absent > "$0"', join(directory, 'command')])).rejects.toThrow(
      'No such device',
    );
    await expect(run('cat', [join(directory, 'command')])).rejects.toThrow('Permission denied');
  });

  it('unmounts while a client stands in it, and may be stopped again', async () => {
    const transport = await serve();
    const client = run('sh', ['-c', 'cd "$0" && echo in && read _', directory]);
    await new Promise((resolve) => client.child.stdout?.once('data', resolve));
    await transport.stop();
    await transport.stop();
    await transport.closed;
    expect(await isMounted(directory)).toBe(false);
    client.child.stdin?.end();
    await client.catch(() => {}); // `read` at the end of input: no answer either way
  });

  it('stops cleanly after somebody else unmounted it', async () => {
    const transport = await serve();
    await run('umount', ['-l', directory]);
    await transport.stop();
    expect(await isMounted(directory)).toBe(false);
  });

  it('mounts through a symlinked path', async () => {
    await symlink(directory, join(parent, 'link'));
    await serve(join(parent, 'link'));
    expect((await run('cat', [join(directory, 'text')])).stdout).toBe('0x8086\n');
  });
});
