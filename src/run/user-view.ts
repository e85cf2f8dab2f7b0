/**
 * Views of users who may not mount: their launcher makes a user namespace first, in which they may. Who they are there, and what can
 * stand in the way.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fuseDeviceProblem, ownCapabilities } from '../transports/index.js';
import { UserError } from './user-error.js';

/** Ids that the command sees itself have. */
export interface ViewUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Who the command is in a user namespace of its own; undefined where none is needed. Root, as with unshare -r and podman: what works on
 * drivers and devices wants to be root. With `keepId` oneself.
 */
export function viewUser(keepId: boolean): ViewUser | undefined {
  if (ownCapabilities().has('SYS_ADMIN')) return undefined;
  return keepId ? { uid: process.geteuid!(), gid: process.getegid!() } : { uid: 0, gid: 0 };
}

/** UserError when /dev/fuse can't be had. */
export function checkFuseDevice(): void {
  const problem = fuseDeviceProblem();
  if (problem) throw new UserError(problem.what, problem.nextStep);
}

interface Switch {
  readonly file: string;
  readonly forbids: string;
  readonly why: string;
  readonly nextStep: string;
}

const switches: readonly Switch[] = [
  {
    file: '/proc/sys/kernel/unprivileged_userns_clone',
    forbids: '0',
    why: 'kernel.unprivileged_userns_clone is 0',
    nextStep: 'as root: sysctl -w kernel.unprivileged_userns_clone=1',
  },
  {
    file: '/proc/sys/user/max_user_namespaces',
    forbids: '0',
    why: 'user.max_user_namespaces is 0',
    nextStep: 'as root: sysctl -w user.max_user_namespaces=10000',
  },
  {
    // Namespaces can be made, but come without capabilities.
    file: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    forbids: '1',
    why: 'AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1, as on Ubuntu)',
    nextStep:
      'as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give node a profile that allows userns',
  },
];

const readSwitch = (file: string): string | undefined =>
  existsSync(file) ? readFileSync(file, 'latin1').trim() : undefined;

/** Why a user namespace with rights of its own can't be had here, as far as the machine's settings tell. */
export function userNamespaceProblem(read: (file: string) => string | undefined = readSwitch): UserError {
  const found = switches.find(({ file, forbids }) => read(file) === forbids);
  return new UserError(
    `no view without root here: ${found?.why ?? 'a user namespace, or mounting in one, is forbidden'}`,
    found?.nextStep ?? 'in a container: let its security profile allow user namespaces, or run as root',
  );
}
