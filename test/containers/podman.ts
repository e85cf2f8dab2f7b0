/** Podman with everything it writes in a directory of the caller's, without images. Its run root has 50 characters at most. */
import { join } from 'node:path';
import { type Running, start } from '../cli/program.js';

/** Words before the subcommand. */
export const podmanIn = (directory: string): readonly string[] => [
  ...[
    '--root',
    join(directory, 'storage'),
    '--runroot',
    join(directory, 'run'),
    '--tmpdir',
    join(directory, 'tmp'),
  ],
  ...['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file'],
];

/** The limits are those that an unprivileged outer container may set, too. */
export const limits = ['--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096'];

/** `command` in a new container on the tree `rootfs` (`/:O`: this machine's own, under a throw-away layer). */
export function inContainer(
  directory: string,
  args: readonly string[],
  rootfs: string,
  command: readonly string[],
): Running {
  const words = [...podmanIn(directory), 'run', '--rm', ...limits, ...args, '--rootfs', rootfs, ...command];
  return start(words, { program: 'podman' });
}
