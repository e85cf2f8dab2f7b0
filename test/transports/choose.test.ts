import { describe, expect, it } from 'vitest';
import {
  chooseTransport,
  type Probes,
  ptraceProblem,
  thisMachine,
  type Verdict,
} from '../../src/transports/choose.js';
import { ownCapabilities } from '../../src/transports/index.js';

const yes = (...reasons: string[]): Verdict => ({ works: true, reasons });
const no = (...reasons: string[]): Verdict => ({ works: false, reasons });

function machine(
  fuse: Verdict,
  fuseNative: Verdict,
  memfs: Verdict = yes('no mount'),
): Probes & { asked: string[] } {
  const asked: string[] = [];
  const probe = (name: string, verdict: Verdict) => async () => {
    asked.push(name);
    return verdict;
  };
  return {
    fuse: probe('fuse', fuse),
    'fuse-native': probe('fuse-native', fuseNative),
    memfs: probe('memfs', memfs),
    asked,
  };
}

describe('chooseTransport', () => {
  it('refuses what was asked for and does not work, with every reason', async () => {
    await expect(chooseTransport('fuse', machine(no('no addon', 'no /dev/fuse'), yes()))).rejects.toThrow(
      'the fuse transport does not work here: no addon; no /dev/fuse',
    );
  });

  it('refuses when nothing works', async () => {
    await expect(chooseTransport('auto', machine(no('a'), no('b'), no('c')))).rejects.toThrow(
      'not fuse: a; not fuse-native: b; not memfs: c',
    );
  });

  it('takes what was asked for, and only looks at that', async () => {
    const probes = machine(yes(), yes('trees only'));
    expect(await chooseTransport('fuse-native', probes)).toEqual({
      transport: 'fuse-native',
      reasons: ['asked for', 'trees only'],
    });
    expect(probes.asked).toEqual(['fuse-native']);
  });

  it('takes the best that works, and says what is limited', async () => {
    const probes = machine(yes('no passthrough'), yes());
    expect(await chooseTransport('auto', probes)).toEqual({ transport: 'fuse', reasons: ['no passthrough'] });
    expect(probes.asked).toEqual(['fuse']);
  });

  it('says what ruled the better ones out', async () => {
    expect(await chooseTransport('auto', machine(no('no addon'), yes('trees only')))).toEqual({
      transport: 'fuse-native',
      reasons: ['not fuse: no addon', 'trees only'],
    });
    expect(await chooseTransport('auto', machine(no('no addon'), no('no libfuse 2')))).toEqual({
      transport: 'memfs',
      reasons: ['not fuse: no addon', 'not fuse-native: no libfuse 2', 'no mount'],
    });
  });

  it('finds something on this machine', async () => {
    expect((await thisMachine.memfs()).works).toBe(true);
    expect((await chooseTransport()).transport).toMatch(/^(fuse|fuse-native|memfs)$/);
  });
});

describe('memory of clients, by kernel.yama.ptrace_scope', () => {
  it.each([
    [undefined, undefined, undefined],
    ['0', undefined, undefined],
    ['1', /ptrace_scope \(1\).*: vfiofs run, or/, undefined],
    ['2', /ptrace_scope \(2\).*: vfiofs run, or/, undefined],
    ['3', /ptrace_scope \(3\).*until the next boot/, /until the next boot/],
  ])('%s: for others, for who has CAP_SYS_PTRACE', (scope, others, capable) => {
    for (const [mayTrace, expected] of [
      [false, others],
      [true, capable],
    ] as const) {
      const problem = ptraceProblem(mayTrace, () => scope);
      if (expected) expect(problem).toMatch(expected);
      else expect(problem).toBeUndefined();
    }
  });

  it('is said once in the reasons, when it is so on this machine', async () => {
    const { reasons } = await thisMachine.fuse();
    const said = reasons.filter((reason) => reason.includes('ptrace_scope'));
    expect(said).toEqual([ptraceProblem(ownCapabilities().has('SYS_PTRACE'))].filter(Boolean));
  });
});
