/** The commands, their arguments and help; what they do is given, so that parsing can be tested alone. */
import { readFileSync } from 'node:fs';
import { Argument, Command, Option } from 'commander';
import type { TransportChoice } from '../run/serve.js';
import { defaultDirectory, examples, exits, jsonOption } from './help.js';
import { addProfileCommands, type ProfileActions } from './profile-program.js';
import { type ProfilesOption, profilesOption, type ViewOptions, withViewOptions } from './view-options.js';

export interface MountOptions extends ProfilesOption {
  readonly at: string;
  readonly transport: TransportChoice;
  /** Path of the control socket; default: beside the directory. */
  readonly control?: string;
  readonly background?: boolean;
  readonly json?: boolean;
}

export interface ContainerArgsOptions {
  readonly group?: string[];
  readonly readOnly?: boolean;
  readonly format: 'args' | 'oci' | 'cdi';
}

export interface CtlOptions {
  readonly at: string;
  readonly socket?: string;
}

export interface CaptureOptions {
  readonly sys: string;
  readonly json?: boolean;
}

export interface Actions extends ProfileActions {
  mount(topology: string | undefined, options: MountOptions): Promise<void>;
  umount(directory: string, options: { json?: boolean }): Promise<void>;
  run(topology: string | undefined, command: readonly string[], options: ViewOptions): Promise<void>;
  shell(topology: string | undefined, options: ViewOptions): Promise<void>;
  containerArgs(host: string | undefined, options: ContainerArgsOptions): Promise<void>;
  validate(topology: string, options: { json?: boolean }): Promise<void>;
  show(topology: string | undefined, options: { json?: boolean }): Promise<void>;
  presets(options: { json?: boolean }): Promise<void>;
  capture(options: CaptureOptions): Promise<void>;
  ctl(method: string, params: string | undefined, options: CtlOptions): Promise<void>;
  ls(options: { json?: boolean }): Promise<void>;
}

export const transports: readonly TransportChoice[] = ['auto', 'fuse', 'fuse-native', 'memfs'];

const { version, description } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as {
  version: string;
  description: string;
};

const topologyArgument = () =>
  new Argument('[topology]', 'topology file (YAML) or preset; without it: the default host');

/** `command` is what stood behind `--`; undefined when there was no `--`. */
export function buildProgram(actions: Actions, command: readonly string[] | undefined): Command {
  const program = new Command('vfiofs')
    .description(description)
    .version(version)
    .exitOverride()
    .showHelpAfterError('(vfiofs --help shows what there is)')
    .addHelpText(
      'after',
      `${examples(
        'vfiofs run -- lspci -nnk                  a command on the default host',
        'vfiofs shell                              a shell there, and ten things to try',
        'vfiofs mount --background                 the same host below mountpoints/, for any program',
        'DEBUG=vfiofs:* vfiofs run -- dpdk-test    every operation, decoded',
      )}${exits} · run: the command's own`,
    );

  program
    .command('mount')
    .summary('mount a pretend host and serve it until SIGINT or SIGTERM')
    .description(
      'Mounts a pretend host: its sys, dev, proc and lib stand below the directory. Prints one line when programs can use it, and ' +
        'serves it until SIGINT or SIGTERM. The dead mount of a killed daemon is replaced; a living one is not.',
    )
    .addArgument(topologyArgument())
    .option('--at <directory>', 'where', defaultDirectory)
    .addOption(new Option('--transport <name>', 'how').choices(transports).default('auto'))
    .option('--control <path>', 'where the control socket is (default: the directory with .sock behind it)')
    .addOption(profilesOption())
    .option('--background', 'return when it is ready; end it with vfiofs umount')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'vfiofs mount',
        'vfiofs mount my-host.yaml --at /tmp/host --background',
        'ls /tmp/host/sys/bus/pci/devices',
      ) + exits,
    )
    .action((topology: string | undefined, options: MountOptions) => actions.mount(topology, options));

  program
    .command('umount')
    .description('Unmounts a pretend host and ends the process that serves it.')
    .argument('[directory]', 'where it is mounted, or the last part of that', defaultDirectory)
    .addOption(jsonOption())
    .addHelpText('after', examples('vfiofs umount', 'vfiofs umount /tmp/host') + exits)
    .action((directory: string, options: { json?: boolean }) => actions.umount(directory, options));

  program
    .command('ls')
    .description('Lists the pretend hosts that are mounted: directory, process, control socket.')
    .addOption(jsonOption())
    .addHelpText('after', examples('vfiofs ls', 'vfiofs ls --json') + exits)
    .action((options: { json?: boolean }) => actions.ls(options));

  program
    .command('container-args')
    .summary('what puts a mounted host into containers')
    .description(
      'Prints the arguments of podman or docker that put a mounted host into a container: its /sys, /dev/vfio, /dev/iommu and /lib/modules, and ' +
        'the limit of locked memory that DMA needs. Several containers may have one host, or each some groups of it. docs/containers.md has more.',
    )
    .argument('[host]', 'its directory, or the last part of it; without it: the only one there is')
    .option(
      '--group <name...>',
      'only these nodes of /dev/vfio, and what belongs to them (default: all, live)',
    )
    .option('--read-only', 'the container can read /sys only')
    .addOption(
      new Option(
        '--format <format>',
        'words for a command line, parts of config.json, or a CDI specification',
      )
        .choices(['args', 'oci', 'cdi'])
        .default('args'),
    )
    .addHelpText(
      'after',
      examples(
        'podman run --rm $(vfiofs container-args) debian ls -l /dev/vfio',
        'podman run --rm $(vfiofs container-args lab --group 1) my-test',
        'vfiofs container-args lab --format cdi > /etc/cdi/vfiofs-lab.json && podman run --device vfiofs/lab=group-1 my-test',
      ) + exits,
    )
    .action((host: string | undefined, options: ContainerArgsOptions) =>
      actions.containerArgs(host, options),
    );

  program
    .command('ctl')
    .summary('change a mounted host while it runs, or watch it')
    .description(
      'Calls a method of the control socket of a mounted host and prints its result as JSON. `events` prints one line of JSON for each ' +
        'uevent until Ctrl-C. docs/control.md has all methods.',
    )
    .argument('<method>', 'host.describe, function.add, function.remove, driver.bind …, or events')
    .argument('[params]', 'its parameters as JSON')
    .option('--at <directory>', 'where the host is mounted', defaultDirectory)
    .option('--socket <path>', 'its control socket, instead')
    .addHelpText(
      'after',
      examples(
        'vfiofs ctl host.describe',
        `vfiofs ctl function.add '{"bdf": "0000:00:05.0", "model": "ioat", "driver": "vfio-pci"}'`,
        `vfiofs ctl function.remove '{"bdf": "0000:00:05.0", "surprise": true}'`,
        `vfiofs ctl driver.bind '{"bdf": "0000:00:05.0", "driver": "vfio-pci"}' --at /tmp/host`,
        `vfiofs ctl parameter.set '{"module": "vfio_pci", "parameter": "disable_idle_d3", "value": true}'`,
        'vfiofs ctl events',
      ) + exits,
    )
    .action((method: string, params: string | undefined, options: CtlOptions) =>
      actions.ctl(method, params, options),
    );

  addProfileCommands(program, actions);

  withViewOptions(
    program
      .command('run')
      .usage('[topology] -- command [arguments…]')
      .summary('run a command that sees the pretend host as its own')
      .description(
        'Runs a command in a mount namespace of its own, where the pretend host stands at /sys, /dev/vfio and /dev/iommu; what programs ' +
          'need of the real /sys and /dev stays. Nothing changes for other processes, and nothing is left when it ends.',
      )
      .addArgument(topologyArgument()),
  )
    .addHelpText(
      'after',
      `${examples(
        'vfiofs run -- lspci -nnk',
        'vfiofs run my-host.yaml -- bash',
        'vfiofs run -- dpdk-testpmd --no-huge -a 0000:00:04.0',
        'vfiofs run --merge-real -- lspci -D',
        'vfiofs mount lab.yaml --at /tmp/lab --background && vfiofs run --host lab -- lspci',
      )}
Exit code: the command's own, or its signal (128+n where that can't be reproduced) · 125 vfiofs failed · 126 the command can't be
executed · 127 there is no such command`,
    )
    .action((topology: string | undefined, options: ViewOptions, self: Command) => {
      if (!command?.length)
        self.error('error: no command given: put it behind --, as in: vfiofs run -- lspci -nnk');
      return actions.run(topology, command as readonly string[], options);
    });

  withViewOptions(
    program
      .command('shell')
      .summary('an interactive shell on a pretend host')
      .description(
        'Starts your shell ($SHELL) as `vfiofs run` starts a command, with a prompt that says where you are, and shows what is there and ten ' +
          'things to try. Nothing that you do to the pretend host outlives the shell, unless you joined a mounted one.',
      )
      .addArgument(topologyArgument()),
  )
    .addHelpText('after', examples('vfiofs shell', 'vfiofs shell sriov', 'vfiofs shell --host lab'))
    .action((topology: string | undefined, options: ViewOptions) => actions.shell(topology, options));

  const topology = program
    .command('topology')
    .description('Checks and shows topologies: which functions, BARs, groups and drivers a pretend host has.')
    .addHelpText(
      'after',
      examples('vfiofs topology presets', 'vfiofs topology show', 'vfiofs topology validate my-host.yaml') +
        exits,
    );
  topology
    .command('validate')
    .description('Checks a topology file; every problem is printed as file:line:column: what was expected.')
    .argument('<topology>', 'topology file (YAML) or preset')
    .addOption(jsonOption())
    .addHelpText('after', examples('vfiofs topology validate my-host.yaml') + exits)
    .action((file: string, options: { json?: boolean }) => actions.validate(file, options));
  topology
    .command('show')
    .description('Shows the host that a topology makes, with everything that was left to defaults.')
    .addArgument(topologyArgument())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('vfiofs topology show', 'vfiofs topology show my-host.yaml --json') + exits,
    )
    .action((file: string | undefined, options: { json?: boolean }) => actions.show(file, options));
  topology
    .command('presets')
    .description('Lists the topologies that come with vfiofs.')
    .addOption(jsonOption())
    .addHelpText('after', examples('vfiofs topology presets', 'vfiofs run sriov -- lspci') + exits)
    .action((options: { json?: boolean }) => actions.presets(options));

  program
    .command('capture')
    .summary('write a running machine down as a topology file')
    .description(
      'Prints a topology of the machine it runs on: its PCI functions with their registers, its IOMMU, groups and drivers. So a report of ' +
        'a problem can carry the hardware. Serial numbers in the registers are printed as they are.',
    )
    .option('--sys <directory>', 'read this in place of /sys', '/sys')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('vfiofs capture > my-host.yaml', 'vfiofs run ./my-host.yaml -- lspci -nnk') + exits,
    )
    .action((options: CaptureOptions) => actions.capture(options));
  return program;
}
