import { execFileSync } from 'node:child_process';
import type { TestContext } from 'vitest';

/** Skips the test where `program` is not installed. */
export function needs(program: string, context: TestContext): void {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`]);
  } catch {
    context.skip(`${program} is not installed: run scripts/setup`);
  }
}
