/** The program: parse, call, print. What a command needs is loaded when it is called, so that --help is quick. */
import { main } from './cli.js';
import { errorLines, exitCodeOf, printError } from './output.js';
import { hasParent, tellParent } from './parent.js';
import type { Actions } from './program.js';

const actions: Actions = {
  mount: async (topology, options) => (await import('./mount.js')).mount(topology, options),
  umount: async (directory, options) => (await import('./mount.js')).umount(directory, options),
  run: async (topology, command, options) => (await import('./run.js')).run(topology, command, options),
  shell: async (topology, options) => (await import('./run.js')).shell(topology, options),
  containerArgs: async (host, options) => (await import('./containers.js')).containerArgs(host, options),
  validate: async (topology, options) => (await import('./topology.js')).validate(topology, options),
  show: async (topology, options) => (await import('./topology.js')).show(topology, options),
  ctl: async (method, params, options) => (await import('./ctl.js')).ctl(method, params, options),
  profileList: async (options) => (await import('./profile.js')).profileList(options),
  profileShow: async (bdf, options) => (await import('./profile.js')).profileShow(bdf, options),
  profileSet: async (bdf, name, options) => (await import('./profile.js')).profileSet(bdf, name, options),
  ls: async (options) => (await import('./ctl.js')).ls(options),
  capture: async (options) => (await import('./capture.js')).capture(options),
  presets: async (options) => (await import('./topology.js')).presets(options),
};

// Nobody reads what we print (`… | head -1`): no reason to stop serving.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });

void main(process.argv.slice(2), actions, (error) => {
  if (hasParent()) tellParent({ error: errorLines(error), exitCode: exitCodeOf(error) });
  else printError(error);
}).then((code) => {
  if (code !== undefined) process.exitCode = code;
});
