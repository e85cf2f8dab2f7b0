/** `vfiofs profile list|show|set`. */
import { withControl } from './ctl.js';
import { paint } from './output.js';
import type { ProfileOptions } from './profile-program.js';

/** As the control socket's profile.show gives it. */
interface Device {
  readonly bdf: string;
  readonly driver: string;
  readonly device: string;
  readonly in_use: boolean;
  readonly current: string | null;
  readonly available: readonly { readonly name: string; readonly description: string | null }[];
}

/** `02:00.1` for short, as lspci has it. */
const fullName = (bdf: string): string =>
  (/^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(bdf) ? `0000:${bdf}` : bdf).toLowerCase();

function print(value: unknown, lines: readonly string[], { json }: ProfileOptions): void {
  process.stdout.write(
    json ? `${JSON.stringify(value, null, 2)}\n` : lines.map((line) => `${line}\n`).join(''),
  );
}

/** Columns as wide as they have to be; the last one is left alone. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell)).join('  '),
  );
}

export function profileList(options: ProfileOptions): Promise<void> {
  return withControl(options, async (client) => {
    const devices = (await client.call('profile.list')) as Device[];
    const rows = devices.map(({ bdf, device, driver, current, available }) => [
      ...[bdf, device, driver, current ?? '-'],
      available.map(({ name }) => name).join(' '),
    ]);
    const lines =
      rows.length > 0
        ? table([['DEVICE', 'VFIO', 'DRIVER', 'PROFILE', 'AVAILABLE'], ...rows])
        : ['no device of this host that a vfio driver has can be given away in several shapes'];
    print(devices, lines, options);
  });
}

export function profileShow(bdf: string, options: ProfileOptions): Promise<void> {
  return withControl(options, async (client) => {
    const found = (await client.call('profile.show', { bdf: fullName(bdf) })) as Device;
    const { device, driver, in_use: inUse, current, available } = found;
    const rows = available.map(({ name, description }) => [
      `${name === current ? '*' : ' '} ${name}`,
      description ?? '',
    ]);
    const head = `${paint('bold', found.bdf)} · ${device} · ${driver}${inUse ? ' · in use' : ''}`;
    print(
      found,
      [head, ...(rows.length > 0 ? table(rows) : ['  no profiles: it is what it is'])].map((line) =>
        line.trimEnd(),
      ),
      options,
    );
  });
}

export function profileSet(bdf: string, profile: string, options: ProfileOptions): Promise<void> {
  return withControl(options, async (client) => {
    const before = (await client.call('profile.show', { bdf: fullName(bdf) })) as Device;
    const after = (await client.call('profile.set', { bdf: fullName(bdf), profile })) as Device;
    const was = before.current === after.current ? 'as before' : `was ${before.current}`;
    print(after, [`${after.bdf}: ${after.current} (${was})`], options);
  });
}
