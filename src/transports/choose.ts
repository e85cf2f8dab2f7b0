/** Which transport: the one asked for, or the best that works on this machine; always with the reasons. */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { native } from '../native/index.js';
import type { TransportName } from './contract.js';
import { fuseDeviceProblem } from './fuse-device.js';
import { loadFuseNative, unmountCommand } from './fuse-native/mount.js';
import { hasFusermount } from './fusermount.js';
import { ownCapabilities } from './plain-caller.js';

export interface Verdict {
  readonly works: boolean;
  /** What is missing; when it works, what is limited. */
  readonly reasons: readonly string[];
}

export interface Choice {
  readonly transport: TransportName;
  /** Why this one: what rules the better ones out, then what is limited here. For the ready line. */
  readonly reasons: readonly string[];
}

/** Best first. */
const ranking: readonly TransportName[] = ['fuse', 'fuse-native', 'memfs'];

export type Probes = Readonly<Record<TransportName, () => Promise<Verdict>>>;

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Runs the check; what it throws is a reason against. */
async function reasonAgainst(check: () => unknown): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return message(error);
  }
}

function openDevFuse(): void {
  const problem = fuseDeviceProblem();
  if (problem) throw new Error(`${problem.what}; ${problem.nextStep}`);
}

const mountsItself = (): boolean => ownCapabilities().has('SYS_ADMIN');

function canMount(): void {
  if (!mountsItself() && !hasFusermount())
    throw new Error('mounting needs CAP_SYS_ADMIN, or fusermount3 (package fuse3)');
}

const readScope = (): string | undefined => {
  const file = '/proc/sys/kernel/yama/ptrace_scope';
  return existsSync(file) ? readFileSync(file, 'latin1').trim() : undefined;
};

/**
 * Why a daemon can't reach the memory and descriptors of clients that it did not start (yama_ptrace_access_check()), by kernel.yama.ptrace_scope
 * (undefined: a kernel without): 1 descendants only, 2 CAP_SYS_PTRACE only, 3 nobody.
 */
export function ptraceProblem(
  capable: boolean,
  read: () => string | undefined = readScope,
): string | undefined {
  const scope = read();
  const effect = `clients get EPERM or EFAULT from ioctls, as kernel.yama.ptrace_scope (${scope}) keeps their memory from us`;
  if (scope === '3') return `${effect} until the next boot`;
  if (scope === undefined || scope === '0' || capable) return undefined;
  return `${effect}: vfiofs run, or as root: sysctl kernel.yama.ptrace_scope=0`;
}

/** What a mount lacks here. */
function* limitsOfMount(): Generator<string> {
  if (!mountsItself()) yield 'by fusermount3, for your own programs';
  const problem = ptraceProblem(ownCapabilities().has('SYS_PTRACE'));
  if (problem) yield problem;
}

/** FUSE passthrough came with Linux 6.9. */
function hasPassthrough(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 9);
}

async function judge(checks: readonly (() => unknown)[], limits: readonly string[] = []): Promise<Verdict> {
  const missing = (await Promise.all(checks.map(reasonAgainst))).filter((reason) => reason !== undefined);
  return missing.length ? { works: false, reasons: missing } : { works: true, reasons: limits };
}

export const thisMachine: Probes = {
  fuse: () =>
    judge(
      [native, openDevFuse, canMount],
      [
        ...limitsOfMount(),
        ...(hasPassthrough()
          ? []
          : [`Linux ${release()} has no FUSE passthrough (6.9): regions can't be mapped`]),
      ],
    ),
  'fuse-native': () =>
    judge(
      [...(process.platform === 'linux' ? [openDevFuse] : []), unmountCommand, loadFuseNative],
      ['no ioctl and no mmap: trees only'],
    ),
  memfs: () => judge([], ['no mount: only this Node program sees the tree']),
};

/** Throws when the transport asked for does not work here. */
export async function chooseTransport(
  wanted: TransportName | 'auto' = 'auto',
  probes: Probes = thisMachine,
): Promise<Choice> {
  if (wanted !== 'auto') {
    const { works, reasons } = await probes[wanted]();
    if (!works) throw new Error(`the ${wanted} transport does not work here: ${reasons.join('; ')}`);
    return { transport: wanted, reasons: ['asked for', ...reasons] };
  }
  const ruledOut: string[] = [];
  for (const transport of ranking) {
    const { works, reasons } = await probes[transport]();
    if (works) return { transport, reasons: [...ruledOut, ...reasons] };
    ruledOut.push(`not ${transport}: ${reasons.join('; ')}`);
  }
  throw new Error(`no transport works here: ${ruledOut.join('; ')}`);
}
