/** Refusals as Node's fs reports them: `code`, negative `errno`, `syscall`, `path`. */
import { KernelError } from '../../abi/errno.js';

export interface FsError extends NodeJS.ErrnoException {
  readonly code: string;
}

export function fsError(error: unknown, syscall: string, path: string): Error {
  if (!(error instanceof KernelError)) return error instanceof Error ? error : new Error(String(error));
  const message = `${error.code}: ${error.reason}, ${syscall} '${path}'`;
  return Object.assign(new Error(message, { cause: error }), {
    code: error.code,
    errno: -error.errno,
    syscall,
    path,
  });
}

/** Runs `body`; what it throws comes out as an fs error. */
export function asFs<T>(syscall: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw fsError(error, syscall, path);
  }
}

/**
 * Thrown where a synchronous call met an operation that waits (an unbind waits for the last user of the device). The operation goes
 * on; the asynchronous API claims its outcome instead of failing.
 */
export class WaitingError extends Error {
  readonly code = 'EAGAIN';
  readonly errno = -11;
  private claimed = false;

  constructor(
    readonly syscall: string,
    readonly path: string,
    /** What the call would have returned. Rejects with an fs error. */
    private readonly outcome: Promise<number>,
    /** What becomes of the result when nobody claims it. */
    abandon: (result: number) => void = () => {},
  ) {
    super(`EAGAIN: the operation waits and goes on; use fs.promises or callbacks here, ${syscall} '${path}'`);
    // A synchronous caller never learns of a late refusal; the dispatcher has told the trace by then.
    outcome.then(
      (result) => this.claimed || abandon(result),
      () => {},
    );
  }

  claim(): Promise<number> {
    this.claimed = true;
    return this.outcome;
  }
}
