/** `vfiofs capture`. */
import { UserError } from '../run/user-error.js';
import { captureHost, captureText } from '../topology/index.js';
import type { CaptureOptions } from './program.js';

export async function capture({ sys, json }: CaptureOptions): Promise<void> {
  const { topology, gaps } = captured(sys);
  for (const gap of gaps) process.stderr.write(`vfiofs: ${gap}\n`);
  process.stdout.write(json ? `${JSON.stringify(topology, null, 2)}\n` : captureText(topology));
}

function captured(sys: string): ReturnType<typeof captureHost> {
  try {
    return captureHost(sys);
  } catch (cause) {
    throw new UserError((cause as Error).message, 'name what stands for /sys with --sys', { cause });
  }
}
