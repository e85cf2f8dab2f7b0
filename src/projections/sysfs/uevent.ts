/** `uevent`: what udev knows of a device (section "uevent" of drivers/base/core.c: dev_uevent()). */
import type { Kobject } from '../../host/events.js';
import type { Host } from '../../host/host.js';
import { type Entry, text } from '../kit/directory.js';
import { parseUevent } from '../kit/parse.js';

/** Where events about objects of one sort go, and how such an object is called there. */
export interface Told<S> {
  readonly host: Host;
  subject(object: S): Kobject;
}

/** The attribute of a device; an empty list is an empty file. What is written is told to subscribers of those objects that have any. */
export function deviceUevent<S>(
  variables: (subject: S) => readonly string[] = () => [],
  told?: Told<S>,
): Entry<S> {
  return text('uevent', {
    show: variables,
    store(object, content) {
      const event = parseUevent(content);
      told?.host.uevents.emit({ ...event, subject: told.subject(object) });
    },
  });
}

/** Of a bus, driver or module: write-only. */
export function plainUevent<S>(): Entry<S> {
  return text('uevent', { store: (_, content) => void parseUevent(content) });
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
