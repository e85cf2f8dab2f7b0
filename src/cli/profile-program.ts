/** The commands below `vfiofs profile`. */
import type { Command } from 'commander';
import { defaultDirectory, examples, exits, jsonOption } from './help.js';
import type { CtlOptions } from './program.js';

export interface ProfileOptions extends CtlOptions {
  readonly json?: boolean;
}

export interface ProfileActions {
  profileList(options: ProfileOptions): Promise<void>;
  profileShow(bdf: string, options: ProfileOptions): Promise<void>;
  profileSet(bdf: string, name: string, options: ProfileOptions): Promise<void>;
}

export function addProfileCommands(program: Command, actions: ProfileActions): void {
  const profile = program
    .command('profile')
    .summary('the shapes in which devices of a mounted host are given away')
    .description(
      'Lists, shows and selects profiles of devices that a vfio driver has, on a mounted host. A host that was mounted with --profiles, or whose ' +
        'topology names a file, keeps what is selected. docs/provisioning.md has more.',
    )
    .addHelpText(
      'after',
      examples(
        'vfiofs profile list',
        'vfiofs profile show 0000:02:00.1',
        'vfiofs profile set 0000:02:00.1 native',
        'vfiofs mount lab.yaml --at /tmp/lab --profiles lab-profiles.yaml --background && vfiofs profile list --at lab',
      ) + exits,
    );
  const below = (name: string) =>
    profile
      .command(name)
      .option('--at <directory>', 'where the host is mounted', defaultDirectory)
      .option('--socket <path>', 'its control socket, instead')
      .addOption(jsonOption());
  below('list')
    .description(
      'Lists the devices that can be given away in several shapes: their driver, what they are now, what they can be.',
    )
    .addHelpText('after', examples('vfiofs profile list', 'vfiofs profile list --at lab --json') + exits)
    .action((options: ProfileOptions) => actions.profileList(options));
  below('show')
    .description('Shows the profiles of one device, with what they are; the one it has is marked.')
    .argument('<bdf>', 'a device, like 0000:02:00.1')
    .addHelpText('after', examples('vfiofs profile show 0000:02:00.1') + exits)
    .action((bdf: string, options: ProfileOptions) => actions.profileShow(bdf, options));
  below('set')
    .description(
      'Selects a profile. The device is another one when the command ends, or, if it is refused (nobody may have it open), what it was.',
    )
    .argument('<bdf>', 'a device, like 0000:02:00.1')
    .argument('<profile>', 'the name of one of its profiles')
    .addHelpText(
      'after',
      examples('vfiofs profile set 0000:02:00.1 native', 'vfiofs profile set 02:00.1 transitional --at lab') +
        exits,
    )
    .action((bdf: string, name: string, options: ProfileOptions) => actions.profileSet(bdf, name, options));
}
