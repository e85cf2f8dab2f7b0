/** lspci before and after a profile was chosen, in sysfs or by `vfiofs profile set`, against texts that were read (golden/README.md). */
import { execFileSync } from 'node:child_process';
import { beforeAll, expect, test } from 'vitest';
import { vfiofs } from '../cli/program.js';
import { build, golden, mounted, root } from './host.js';

beforeAll(build);

const ids = `${root}/test/tools/golden/pci.ids`;
const version = execFileSync('lspci', ['--version'], { encoding: 'utf8' }).trim();
/** As in lspci.test.ts: the texts are those of one version. */
const differs = version.includes(' 3.9.') ? undefined : `the goldens are of lspci 3.9, this is ${version}`;

interface Chosen {
  /** Of a shell in the mounted host. */
  output(script: string): Promise<string>;
  choose(name: string): Promise<void>;
}

async function host(way: string, topology: string, bdf: string, use: (host: Chosen) => Promise<void>) {
  await mounted(topology, async (directory) => {
    const done = async (...args: string[]) => {
      const { code, out, err } = await vfiofs(args);
      expect({ code, err }, out).toEqual({ code: 0, err: '' });
      return out;
    };
    const output = (script: string) => done('run', '--host', directory, '--', 'bash', '-ec', script);
    await use({
      output,
      async choose(name) {
        if (way === 'sysfs')
          await output(`echo ${name} > /sys/bus/pci/devices/${bdf}/vfio-dev/vfio*/profiles/current`);
        else await done('profile', 'set', bdf, name, '--at', directory);
      },
    });
  });
}

const ways = ['sysfs', 'vfiofs profile set'];

test.each(ways)(
  'a card that becomes another one: ids, BARs, ROM, messages, capabilities; %s',
  async (way) => {
    await host(way, 'examples/profiles.yaml', '0000:01:00.0', async ({ output, choose }) => {
      const lspci = () => output(`lspci -i ${ids} -vvv -nn -k -s 01:00.0`);
      const windows = () => output('cat /sys/bus/pci/devices/0000:00:1c.0/{resource,config} | md5sum');
      const texts = [await lspci()];
      const before = await windows();
      await choose('compute');
      texts.push(await lspci());
      expect(await windows()).toBe(before);
      await choose('whole');
      expect(await lspci()).toBe(texts[0]);
      expect(texts[1]).not.toBe(texts[0]);
      if (!differs)
        expect(texts).toEqual([golden('profiles.whole.lspci.txt'), golden('profiles.compute.lspci.txt')]);
    });
  },
);

test.each(ways)('a VF that only its user sees as another one; %s', async (way) => {
  const bdf = '0000:02:00.1';
  await host(way, 'examples/variants.yaml', bdf, async ({ output, choose }) => {
    await output(`driverctl --nosave set-override ${bdf} virtio_vfio_pci`);
    const looks = async () => [
      await output(`lspci -i ${ids} -vvv -nn -k -s ${bdf}`),
      await output(
        `seen=$(mktemp); trap 'rm $seen' EXIT
        python3 ${root}/test/clients/config.py ${bdf} > $seen; lspci -i ${ids} -F $seen -vvv -nn`,
      ),
    ];
    await choose('native');
    const native = await looks();
    await choose('transitional');
    const transitional = await looks();
    expect(transitional[0]).toBe(native[0]);
    expect(transitional[1]).not.toBe(native[1]);
    if (differs) return;
    expect([native[0], native[1], transitional[1]]).toEqual(
      ['vf', 'native', 'transitional'].map((name) => golden(`profiles.${name}.lspci.txt`)),
    );
  });
});
