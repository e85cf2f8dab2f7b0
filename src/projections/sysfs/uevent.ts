/** `uevent`: what udev knows of a device (section "uevent" of drivers/base/core.c: dev_uevent()). */
import type { Host } from '../../host/host.js';
import { type Entry, text } from '../kit/directory.js';
import { parseUevent } from '../kit/parse.js';

/** kobject_synth_uevent(): what is written is told of the object that the attribute is of, with what the attribute shows. */
function told<S>({ uevents }: Host, subsystem: string, variables: (subject: S) => readonly string[]) {
  return (subject: S, content: string, _: unknown, path: string): void => {
    const object = path.slice(0, path.lastIndexOf('/'));
    const event = parseUevent(content);
    uevents.emit({
      ...event,
      subject: { kind: 'written', path: object, subsystem, variables: variables(subject) },
    });
  };
}

/** The attribute of a device on a bus or of a class, by its name; an empty list is an empty file. */
export function deviceUevent<S>(
  host: Host,
  subsystem: string,
  variables: (subject: S) => readonly string[] = () => [],
): Entry<S> {
  return text('uevent', { show: variables, store: told(host, subsystem, variables) });
}

/** Of a device that is on no bus and of no class: nobody is told (dev_uevent_filter()). */
export function silentUevent<S>(): Entry<S> {
  return text('uevent', { show: () => [], store: (_, content) => void parseUevent(content) });
}

/** Of a bus, driver or module, which are objects of the kset of that name: write-only. */
export function plainUevent<S>(host: Host, kset: 'bus' | 'drivers' | 'module'): Entry<S> {
  return text('uevent', { store: told<S>(host, kset, () => []) });
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
