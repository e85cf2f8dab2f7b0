/** What a background daemon tells the process that started it, over the IPC channel that process gave it. */
import type { Ready } from '../run/serve.js';

export type Message =
  | { readonly ready: Ready }
  /** Lines for standard error. */
  | { readonly error: readonly string[]; readonly exitCode: number };

export function hasParent(): boolean {
  return process.send !== undefined;
}

/** The one message, after which each goes its own way. */
export function tellParent(message: Message): void {
  process.send?.(message);
  process.disconnect();
}
