/** `vfiofs ctl` and `vfiofs ls`. */
import { ControlClient, ControlError } from '../control/index.js';
import { controlOf, findHost, mountedHosts } from '../run/hosts.js';
import { UsageError, UserError } from '../run/user-error.js';
import type { CtlOptions } from './program.js';

function parameters(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(
      `the parameters are not JSON: ${(cause as Error).message}`,
      'quote them: \'{"bdf": "0000:00:04.0"}\'',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError('the parameters are no JSON object');
  return value;
}

export async function openControl(path: string): Promise<ControlClient> {
  try {
    return await ControlClient.open(path);
  } catch (cause) {
    throw new UserError(
      `nobody answers at ${path}: ${(cause as Error).message}`,
      'vfiofs ls shows what is mounted',
      { cause },
    );
  }
}

/** Gives `use` the control socket of the host that the command line names; its refusals are the user's business. */
export async function withControl(
  { at, socket }: CtlOptions,
  use: (client: ControlClient) => Promise<void>,
): Promise<void> {
  const client = await openControl(socket ?? controlOf(findHost(at)));
  try {
    await use(client);
  } catch (error) {
    if (error instanceof ControlError) throw new UserError(error.message, undefined, { cause: error });
    throw error;
  } finally {
    client.close();
  }
}

export async function ctl(method: string, params: string | undefined, options: CtlOptions): Promise<void> {
  const asked = params === undefined ? {} : parameters(params);
  return withControl(options, async (client) => {
    if (method === 'events') {
      await client.events((event) => void process.stdout.write(`${JSON.stringify(event)}\n`));
      await client.closed;
      throw new UserError('the host has ended');
    }
    const result = await client.call(method, asked);
    process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  });
}

export async function ls({ json }: { json?: boolean }): Promise<void> {
  const hosts = mountedHosts();
  if (json) process.stdout.write(`${JSON.stringify(hosts)}\n`);
  else
    for (const { directory, pid, alive, control } of hosts)
      process.stdout.write(
        `${[directory, `pid ${pid ?? 'unknown'}${alive || pid === undefined ? '' : ' (dead)'}`, `control ${control ?? 'none'}`].join(' · ')}\n`,
      );
}
