import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fuseTransport } from '../../src/transports/fuse-mount.js';
import { Dispatcher } from '../../src/vfs/dispatch.js';
import { SampleTree } from '../conformance/tree.js';
import { worksHere } from './works-here.js';

const run = promisify(execFile);

async function isMounted(path: string): Promise<boolean> {
  return (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .some((line) => line.split(' ')[4] === path);
}

const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length;

describe.runIf(await worksHere('fuse'))('the fuse transport', () => {
  let directory: string;
  let tree: SampleTree;
  const serve = (target = directory) => fuseTransport.serve(tree.root, new Dispatcher(), target);

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vfiofs-fuse-'));
    tree = new SampleTree();
  });
  afterEach(() => rmdir(directory));

  it('refuses a mount point that is missing, and keeps nothing open', async () => {
    await expect(serve(join(directory, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    const before = await descriptors();
    await expect(serve(join(directory, 'missing'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await descriptors()).toBe(before);
  });

  it('unmounts while a client stands in it, and may be stopped again', async () => {
    const transport = await serve();
    expect((await run('cat', [join(directory, 'text')])).stdout).toBe('0x8086\n');
    const client = run('sh', ['-c', 'cd "$0" && exec 3<text && echo in && read _', directory]);
    await new Promise((resolve) => client.child.stdout?.once('data', resolve));
    await Promise.all([transport.stop(), transport.stop()]);
    await transport.closed;
    expect(await isMounted(directory)).toBe(false);
    client.child.stdin?.end();
    await client.catch(() => {}); // `read` at the end of input: no answer either way
  });

  it('notices that somebody else unmounted it, and leaves alone what is there then', async () => {
    const transport = await serve();
    await run('umount', [directory]); // not execFileSync: umount looks at the mount, which this thread serves
    await transport.closed;
    const next = await serve();
    await transport.stop();
    expect(await isMounted(directory)).toBe(true);
    await next.stop();
    expect(await isMounted(directory)).toBe(false);
  });
});
