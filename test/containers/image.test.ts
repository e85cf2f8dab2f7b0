/** The image of Containerfile: built here, run, and put to the uses of docs/containers.md and examples/. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { made } from '../cli/needs.js';
import { build, root } from '../cli/program.js';
import { matches, sessions } from './document.js';
import { type Podman, podmanIn } from './podman.js';
import { checkOut, commandsOf, jobs, shell } from './workflow.js';

const directory = mkdtempSync(join(tmpdir(), 'c-'));
let podman: Podman;

const run = (program: string, ...args: readonly string[]) => podman.run(program, ...args).ended;
const image = (args: readonly string[], command: readonly string[]) =>
  run('podman', 'run', '--rm', ...args, 'vfiofs', ...command);

beforeAll(async () => {
  build();
  podman = await podmanIn(directory);
  const base = made('base-image/root.tar');
  expect(await run('scripts/image')).toMatchObject({ code: 0 });
  const name = 'docker.io/library/debian:13-slim';
  expect(await run('podman', 'import', '--quiet', base, name)).toMatchObject({ code: 0 });
}, 900_000);

afterAll(async () => {
  await podman?.end();
  rmSync(directory, { recursive: true });
});

describe('the image', () => {
  const least = ['--device', '/dev/fuse', '--cap-drop', 'all', '--cap-add', 'SYS_ADMIN'];

  test('is small: no compiler, no npm, no tests', async () => {
    const { out: size } = await run('podman', 'image', 'inspect', '--format', '{{.Size}}', 'vfiofs');
    expect(Number(size) / 1e6).toBeGreaterThan(100);
    expect(Number(size) / 1e6).toBeLessThan(230);
    const look = 'ls /opt/vfiofs /opt/vfiofs/build/Release; command -v npm g++ make python3';
    const { out } = await run('podman', 'run', '--rm', '--entrypoint', 'sh', 'vfiofs', '-c', look);
    expect(out.split('\n')).toEqual([
      ...['/opt/vfiofs:', 'bin', 'build', 'dist', 'mountpoints', 'node_modules', 'package.json', 'src', ''],
      ...[
        '/opt/vfiofs/build/Release:',
        'vfiofs-graft',
        'vfiofs-launch',
        'vfiofs-supervise',
        'vfiofs.node',
        '',
      ],
    ]);
  });

  test('shows the default host when nothing is said', async () => {
    const { out, err, code } = await image(least, []);
    expect({ err, code }).toEqual({ err: '', code: 0 });
    expect(out).toMatch(/^00:04\.0 System peripheral .*\[8086:2021\]/m);
    expect(out).toMatch(/Kernel driver in use: vfio-pci\n\tKernel modules: ioatdma/);
  });

  test('has no host without CAP_SYS_ADMIN, and says so', async () => {
    const { out, err, code } = await image(['--device', '/dev/fuse', '--cap-drop', 'all'], []);
    expect({ out, code }).toEqual({ out: '', code: 125 });
    expect(err).toMatch(/CAP_SYS_ADMIN|user namespace/);
  });

  test.each([
    ['topology presets', ['topology', 'presets'], 0, /^minimal$/m],
    ['what is wrong with a topology', ['topology', 'validate', '/etc/hostname'], 2, /expected/],
  ])('has all of the program: %s', async (_name, command, expected, text) => {
    const { out, err, code } = await image(least, command);
    expect({ out, err, code }).toMatchObject({ code: expected });
    expect(out + err).toMatch(text);
  });

  test('has a shell', async () => {
    const words = `podman run --rm -it ${least.join(' ')} vfiofs shell`;
    const { out } = await run('sh', '-c', `echo exit | script -qec '${words}' /dev/null`);
    expect(out).toMatch(/A pretend host: default.* 8 PCI functions[\s\S]*Ten things to try/);
  });
});

test('examples/containers/compose.yaml: a host as a service, and two services with a group each', async () => {
  // Debian 12's podman-compose does not hand `pid` on. Without systemd nobody starts health checks. Its bridge is in a network namespace of its own.
  const script = `export DISABLE_HC_SYSTEMD=true
compose() { podman-compose --no-ansi --podman-run-args=--pid=host -f examples/containers/compose.yaml "$@" >&2; }
mkdir -p /run/lab
compose up -d host
until podman healthcheck run containers_host_1 >&2; do sleep 0.1; done
compose up -d first second
podman wait containers_first_1 containers_second_1
podman logs containers_first_1
podman logs containers_second_1
compose down
ls /run/lab`;
  const { out, err, code } = await run('unshare', '--net', 'bash', '-ec', script);
  expect({ err, code }).toMatchObject({ code: 0 });
  const list = (group: number) => `total 0\n-rw------- \\S+ root root 0 .* ${group}\n-rw-rw-rw- .* vfio\n`;
  expect(out).toMatch(new RegExp(`^0\n0\n${list(0)}${list(1)}$`));
}, 120_000);

describe('examples/containers/workflow.yaml', () => {
  const clients = join(root, 'build/clients');
  const workspace = (name: string) => {
    const place = join(directory, name);
    checkOut(place, `lspci -ns 04.0\n${clients}/ioat-group --size 1`);
    return place;
  };
  const proof = /^00:04\.0 0880: 8086:2021 .*\n[\s\S]*verify 1048576 bytes/m;

  test('on the runner', async () => {
    const place = workspace('on-the-runner');
    const all: string[] = [];
    for (const command of commandsOf(jobs['on-the-runner']!)) {
      const { out, err, code } = await run('env', `--chdir=${place}`, ...shell, command);
      expect({ command, out, err, code }).toMatchObject({ code: 0 });
      all.push(out);
    }
    expect(all).toHaveLength(2);
    expect(all[1]).toMatch(proof);
  }, 120_000);

  test('in a container', async () => {
    const job = jobs['in-a-container']!;
    const place = workspace('in-a-container');
    const [command, ...more] = commandsOf(job);
    expect(more).toEqual([]);
    // The runner starts the container with a command that waits, and each step in it.
    const script = `podman run --detach --name job ${job.container!.options} --entrypoint tail -v ${place}:${place} -v ${clients}:${clients}:ro \\
  --workdir ${place} ${job.container!.image} -f /dev/null >&2
podman exec job "$@"
podman rm --force --time 0 job >&2`;
    const { out, err, code } = await run('bash', '-ec', script, 'bash', ...shell, command!);
    expect({ err, code }).toMatchObject({ code: 0 });
    expect(out).toMatch(proof);
  }, 120_000);
});

describe('docs/containers.md', () => {
  beforeAll(async () => {
    mkdirSync(join(directory, 'path'));
    writeFileSync(join(directory, 'path/vfiofs'), `#!/bin/sh\nexec ${join(root, 'scripts/vfiofs')} "$@"\n`, {
      mode: 0o755,
    });
  });

  test.each(sessions())(
    '$heading',
    async ({ steps }) => {
      // A machine where no other session has been. One shell for all commands; what each has printed stands between lines that nothing else prints.
      const script = steps.map(({ command }, index) => `${command}echo "== ${index} $?"\n`).join('');
      const path = `PATH=${directory}/path:${directory}/bin:${process.env.PATH}`;
      const { out, err } = await run(
        'env',
        path,
        'bash',
        '-c',
        `exec 2>&1\n[ ! -d /run/lab ] || rmdir /run/lab\n${script}`,
      );
      expect(err).toBe('');
      let rest = out;
      for (const [index, { command, printed }] of steps.entries()) {
        const [text, code, after] = rest.split(new RegExp(`^== ${index} (\\d+)\n`, 'm')) as string[];
        expect({ command, text, code }).toMatchObject({
          text: expect.stringMatching(matches(printed)),
          code: '0',
        });
        rest = after!;
      }
    },
    120_000,
  );
});
