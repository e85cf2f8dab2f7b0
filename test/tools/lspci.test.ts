/** lspci before every preset, against texts that were read line by line (golden/README.md). */
import { execFileSync } from 'node:child_process';
import { beforeAll, describe, expect, test } from 'vitest';
import { build, golden, mounted, output, presets, program, realState, root } from './host.js';

const before = realState();
beforeAll(build);

/** Names of the goldens' own, so that they do not follow the distribution's pci.ids. */
const ids = `${root}/test/tools/golden/pci.ids`;
/** 3.9 of Debian 12; how -vvv words things changes with the version. */
const version = execFileSync('lspci', ['--version'], { encoding: 'utf8' }).trim();
const wordsAsGolden = version.includes(' 3.9.');
/** Kernel modules are those of /lib/modules, which a plain mount does not cover. */
const withoutModules = (text: string) => text.replace(/^\tKernel modules:.*\n/gm, '');

describe.each(presets)('%s', (preset) => {
  test('-vvv -nn -k', async (context) => {
    const text = await output(`lspci -i ${ids} -vvv -nn -k`, preset);
    if (!wordsAsGolden) context.skip(`the goldens are of lspci 3.9, this is ${version}`);
    expect(text).toBe(golden(`${preset}.lspci.txt`));
  });

  test('-t', async () => {
    expect(await output(`lspci -i ${ids} -tv`, preset)).toBe(golden(`${preset}.tree.txt`));
  });

  test('-xxxx: every byte of every configuration space', async () => {
    expect(await output('lspci -n -xxxx', preset)).toBe(golden(`${preset}.hex.txt`));
  });

  test('the same through a plain mount', async () => {
    const texts = await mounted(preset, async (directory) => {
      const lspci = (...args: string[]) =>
        program('bash', [
          '-c',
          // Where the real host has no modules lspci says so; that is about the host.
          'lspci "$@" 2> >(grep -v "Unable to load libkmod resources" >&2)',
          'lspci',
          ...['-O', `sysfs.path=${directory}/sys/bus/pci`, '-i', ids],
          ...args,
        ]);
      return [await lspci('-tv'), await lspci('-n', '-xxxx'), withoutModules(await lspci('-vvv', '-nn'))];
    });
    expect(texts.slice(0, 2)).toEqual([golden(`${preset}.tree.txt`), golden(`${preset}.hex.txt`)]);
    if (wordsAsGolden) expect(texts[2]).toBe(withoutModules(golden(`${preset}.lspci.txt`)));
  });
});

test('a user without privileges gets the standard header, and is told', async () => {
  const text = await output('setpriv --reuid=65534 --regid=65534 --clear-groups lspci -v -s 01:00.0 2>&1');
  expect(text).toContain('Capabilities: <access denied>');
  expect(text).toContain('Kernel driver in use: e1000e');
});

test('what is removed is gone from the tree of buses, and back after a rescan', async () => {
  const text = await output(`cd /sys/bus/pci
    echo 1 > devices/0000:00:1c.0/remove; lspci -t
    echo 1 > rescan; lspci -t`);
  const whole = '-[0000:00]-+-00.0\n           +-04.0\n           +-04.1\n';
  const nvme = '           +-1d.0-[02]----00.0\n           \\-1f.0\n';
  expect(text).toBe(`${whole}${nvme}${whole}           +-1c.0-[01]----00.0\n${nvme}`);
});

test('nothing of the real machine has changed', () => {
  expect(realState()).toBe(before);
});
