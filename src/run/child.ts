/**
 * The command as a child of ours that its caller can't tell from one of his own: what stops it stops us, what is sent to us is sent on to it,
 * and we end as it ended. As sudo(8) and su(1) do it, in the process group that we were started in.
 */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { native } from '../native/index.js';
import { namespaceOf } from './lifeline.js';

/** How a command ended: its exit code, or the number of the signal that ended it. */
export type Exit = { readonly code: number } | { readonly signal: number };

const { SIGCONT, SIGHUP, SIGTTIN, SIGTTOU } = constants.signals;

/**
 * What is sent on: every signal that can be caught, but those of faults, of children, SIGPIPE and SIGXFSZ (Node ignores them), SIGPROF (V8's profiler)
 * and SIGTTOU, by which a terminal stops us in our own right if we write to it. Real-time signals lose their value.
 */
const forwarded: readonly number[] = [
  ...(
    [
      ...(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM'] as const),
      ...(['SIGCONT', 'SIGTSTP', 'SIGTTIN', 'SIGURG', 'SIGWINCH', 'SIGIO', 'SIGPWR', 'SIGSTKFLT'] as const),
    ] as const
  ).map((name) => constants.signals[name]),
  // SIGRTMIN (two below are glibc's) to SIGRTMAX, signal(7).
  ...Array.from({ length: 31 }, (_, index) => 34 + index),
];

/** Commands that are there now: a process has one receiver of signals, and they go to all. */
const living = new Set<Child>();
let stopReceiving = (): void => undefined;

function listen(child: Child): void {
  if (living.size === 0)
    stopReceiving = native().receiveSignals(forwarded, (...signal) => {
      for (const one of living) one.handOn(...signal);
    });
  living.add(child);
}

function stopListening(child: Child): void {
  if (living.delete(child) && living.size === 0) stopReceiving();
}

export class Child {
  readonly ended: Promise<Exit>;
  readonly pid: number;
  private readonly group = native().groupOf(0);
  private over = false;

  /** As startChild() of the addon. NativeError when it can't be started. */
  constructor(words: readonly string[], environment: readonly string[], descriptors: readonly number[]) {
    this.pid = native().startChild(words, environment, descriptors);
    listen(this);
    this.ended = new Promise((resolve) => {
      const look = () => {
        const exit = this.look();
        if (!exit) return;
        process.off('SIGCHLD', look);
        stopListening(this);
        resolve(exit);
      };
      process.on('SIGCHLD', look);
      look(); // it may have ended before we listened
    });
  }

  kill(signal: NodeJS.Signals | number): void {
    // Its number may be somebody else's by now.
    if (!this.over) this.send(this.pid, signal);
  }

  private send(target: number, signal: NodeJS.Signals | number): void {
    try {
      process.kill(target, signal);
    } catch (error) {
      // Gone meanwhile; or set-user-ID, and then a direct child could not be sent it either.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }

  /** How it has ended, if it has; what stopped it is seen to. */
  private look(): Exit | undefined {
    for (let change = native().waitChild(this.pid); change; change = native().waitChild(this.pid)) {
      if ('stopped' in change) this.stopped(change.stopped);
      else {
        this.over = true;
        return change;
      }
    }
    return undefined;
  }

  /** Its process group: it may have made one of its own. */
  private childGroup(): number {
    return native().groupOf(this.pid);
  }

  /** It has been stopped: so are we, for whoever does job control above us. */
  private stopped(signal: number): void {
    const front = native().terminalGroup();
    // Nobody does, and who stops and continues the command itself needs its machine.
    if (front === undefined) return;
    const its = this.childGroup();
    if ((signal === SIGTTIN || signal === SIGTTOU) && front === this.group && its !== this.group) {
      // It wants the terminal that its group would have, had it been started by the shell.
      native().giveTerminal(its);
      this.send(-its, SIGCONT);
      return;
    }
    native().stopSelf(signal);
    // The shell above has given the terminal to the group it knows.
    if (front === its && its !== this.group && native().terminalGroup() === this.group)
      native().giveTerminal(its);
    this.goOn();
  }

  /** Continues it, unless whoever continued us has: the process group that a shell would know. */
  private goOn(): void {
    if (!/\) T /.test(readFileSync(`/proc/${this.pid}/stat`, 'latin1'))) return;
    this.send(this.childGroup() === this.pid ? -this.pid : this.pid, SIGCONT);
  }

  /** A signal that came to us; `sender`: a process, unless the kernel. */
  handOn(signal: number, sender: number, fromKernel: boolean): void {
    if (signal === SIGCONT) {
      this.goOn();
      return;
    }
    if (this.childGroup() === this.group) {
      // A terminal sends to the whole group. Only a hangup goes to the leader of the session alone (tty_signal_session_leader()).
      if (fromKernel && !(signal === SIGHUP && native().isSessionLeader())) return;
      // `kill 0` by the command or what it has started.
      if (sender > 0 && namespaceOf(sender) === namespaceOf(this.pid)) return;
    }
    this.kill(signal);
  }
}

/** Ends this process as the command ended: the same exit code, or the same signal; 128+n (as shells say it) where that ends nobody. */
export function endLike(exit: Exit): never {
  if ('signal' in exit) native().dieBy(exit.signal);
  native().exitNow('code' in exit ? exit.code : 128 + exit.signal);
  throw new Error('still here after _exit(2)');
}
