import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cpuinfo } from '../../src/projections/procfs/index.js';
import { errno, list, machine, read, write } from './machine.js';

describe('/proc/cpuinfo', () => {
  const real =
    'processor\t: 0\nflags\t\t: fpu svm vme\nbugs\t\t: flags\n\nprocessor\t: 1\nflags\t\t: fpu vme\n';

  it('has the flag of machines with the IOMMU, and only that one, for every CPU', () => {
    expect(cpuinfo(real, 'intel')).toBe(
      'processor\t: 0\nflags\t\t: fpu vme vmx\nbugs\t\t: flags\n\nprocessor\t: 1\nflags\t\t: fpu vme vmx\n',
    );
    expect(cpuinfo(real, 'amd').match(/flags\t.*/g)).toEqual([
      'flags\t\t: fpu vme svm',
      'flags\t\t: fpu vme svm',
    ]);
    expect(cpuinfo('Features\t: fp asimd\n', 'intel')).toBe('Features\t: fp asimd\n');
  });

  it('is that of the real CPUs otherwise, and takes no writes', () => {
    const { tree } = machine({ iommu: { kind: 'intel' } });
    const lines = (text: string) => text.split('\n').filter((line) => /^(processor|model name)/.test(line));
    if (!existsSync('/proc/cpuinfo')) return expect(list(tree, '/proc')).not.toContain('cpuinfo');
    expect(lines(read(tree, '/proc/cpuinfo'))).toEqual(lines(readFileSync('/proc/cpuinfo', 'latin1')));
    expect(() => write(tree, '/proc/cpuinfo', 'x')).toThrow(errno('EIO'));
  });

  it('stays the real one without an IOMMU', () => {
    expect(list(machine({ iommu: { kind: 'none' } }).tree, '/proc')).not.toContain('cpuinfo');
  });
});
