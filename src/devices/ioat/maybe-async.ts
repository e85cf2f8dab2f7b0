import type { MaybeAsync } from '../contract.js';

/** `run`, then `done` or `failed`: at once where `run` answers at once, so that the usual case never waits for a microtask. */
export function settle<T, U>(
  run: () => MaybeAsync<T>,
  done: (value: T) => MaybeAsync<U>,
  failed: (error: unknown) => MaybeAsync<U>,
): MaybeAsync<U> {
  let value: MaybeAsync<T>;
  try {
    value = run();
  } catch (error) {
    return failed(error);
  }
  return value instanceof Promise ? value.then(done, failed) : done(value);
}
