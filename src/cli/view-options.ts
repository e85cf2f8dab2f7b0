/** What `run` and `shell` can be told of the view that they make. */
import { type Command, Option } from 'commander';

/** Where profiles that are selected are kept. */
export interface ProfilesOption {
  readonly profiles?: string;
}

export const profilesOption = () =>
  new Option(
    '--profiles <file>',
    'where selected profiles are kept: read at start, written at each selection',
  );

export interface ViewOptions extends ProfilesOption {
  /** A mounted host: its directory, or the last part of it; true: the only one there is. */
  readonly host?: string | true;
  /** See Command in run/supervise.ts. */
  readonly supervise: boolean;
  readonly keepId?: boolean;
  readonly mergeReal?: boolean;
}

/** Adds the options to `command`. */
export function withViewOptions(command: Command): Command {
  return command
    .option(
      '--host [name]',
      'join a mounted host (its directory, or the last part of it) instead of starting one',
    )
    .option(
      '--no-supervise',
      'leave stat and its like to the kernel: device nodes look like regular files then',
    )
    .addOption(profilesOption())
    .option('--keep-id', 'without root: the command sees itself as you, not as root')
    .addOption(
      new Option('--hide-real', 'of PCI devices only pretend ones exist (the default)').conflicts(
        'mergeReal',
      ),
    )
    .option('--merge-real', 'real devices beside the pretend ones, in the same directories of /sys and /dev');
}
