/**
 * Podman as on a machine of its own: in a mount namespace where its storage, its settings and all that it writes into /etc, /var, /run and /dev/shm are a
 * test's. So commands are those that a user types, nothing of them is seen outside, and what they mount goes away with the namespace.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { highestMemlock } from '../../src/run/containers.js';
import { needs } from '../cli/needs.js';
import { gone, type Running, root, start } from '../cli/program.js';

/** crun refuses hybrid cgroups; nothing here needs a network. */
const settings = `[containers]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
`;

/**
 * Podman gives every container limits that an unprivileged outer container may not set, and `default_ulimits` do not count once there is another `--ulimit`.
 * Nor may that one lift a limit: who asks for none gets the highest.
 */
const wrapper = `#!/bin/bash
words=()
for word; do
  case $word in
    memlock=-1 | memlock=-1:-1) word=memlock=MEMLOCK:MEMLOCK ;;
  esac
  words+=("$word")
done
case $1 in
  run | create) words=("$1" --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 "\${words[@]:1}") ;;
esac
exec /usr/bin/podman "\${words[@]}"
`;

/** Ends by a signal. An overlay's upper directory may not be on an overlay, which the folder of temporary files can be. */
const script = `cd "$1"
mount -t tmpfs none layers
for tree in etc var; do
  mkdir layers/$tree layers/$tree.work
  mount -t overlay -o lowerdir=/$tree,upperdir=layers/$tree,workdir=layers/$tree.work overlay /$tree
done
mkdir -p /etc/cdi /etc/containers /var/lib/containers
mount --bind storage /var/lib/containers
mount --bind "$1/temporary" /var/tmp
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
cp containers.conf /etc/containers
# As where systemd runs.
mount --make-rshared /
echo ready
exec sleep infinity`;

export interface Podman {
  /** Words that run a command in the namespace. */
  readonly inside: readonly string[];
  run(program: string, ...args: readonly string[]): Running;
  /** `command` in a new container on the tree `rootfs` (`/:O`: this machine's own, under a throw-away layer). */
  inContainer(args: readonly string[], rootfs: string, command: readonly string[]): Running;
  /** Ends the namespace, and containers that a failed test has left in it. */
  end(): Promise<void>;
}

/** Sees what is mounted now, but not what will be mounted outside. Writes into new folders of `directory`. */
export async function podmanIn(directory: string): Promise<Podman> {
  for (const program of ['podman', 'runc']) needs(program);
  for (const name of ['bin', 'layers', 'storage', 'temporary']) mkdirSync(join(directory, name));
  const memlock = highestMemlock();
  const words = wrapper.replaceAll('MEMLOCK', memlock === 'unlimited' ? '-1' : String(memlock));
  writeFileSync(join(directory, 'bin/podman'), words, { mode: 0o755 });
  writeFileSync(join(directory, 'containers.conf'), settings);
  const holder = start(['-m', 'sh', '-ec', script, 'sh', directory], { program: 'unshare' });
  await holder.prints('ready');
  const path = `PATH=${join(directory, 'bin')}:${process.env.PATH}`;
  const inside = ['nsenter', '--target', String(holder.pid), '--mount', `--wd=${root}`, 'env', path];
  const run = (program: string, ...args: readonly string[]) => start(args, { program, inside });
  return {
    inside,
    run,
    inContainer: (args, rootfs, command) =>
      run('podman', 'run', '--rm', ...args, '--rootfs', rootfs, ...command),
    async end() {
      await run('podman', 'rm', '--all', '--force', '--time', '0').ended;
      holder.kill('SIGTERM');
      await gone(holder.pid);
      rmSync(join(directory, 'storage'), { recursive: true });
    },
  };
}
