/** `uevent`: what udev knows of a device (section "uevent" of drivers/base/core.c: dev_uevent()). */
import { type Entry, text } from '../kit/directory.js';
import { checkUevent } from '../kit/parse.js';

/** The attribute of a device; an empty list is an empty file. */
export function deviceUevent<S>(variables: (subject: S) => readonly string[] = () => []): Entry<S> {
  return text('uevent', { show: variables, store: (_, content) => checkUevent(content) });
}

/** Of a bus, driver or module: write-only. */
export function plainUevent<S>(): Entry<S> {
  return text('uevent', { store: (_, content) => checkUevent(content) });
}

export interface NodeNumbers {
  readonly major: number;
  readonly minor: number;
  /** Path below /dev. */
  readonly name: string;
  /** Only where the driver asks for one (misc->mode, devnode()). */
  readonly mode?: number;
}

export function nodeVariables({ major, minor, name, mode }: NodeNumbers): string[] {
  const variables = [`MAJOR=${major}`, `MINOR=${minor}`, `DEVNAME=${name}`];
  if (mode !== undefined) variables.push(`DEVMODE=0${mode.toString(8)}`);
  return variables;
}
