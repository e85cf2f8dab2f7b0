import { describe, expect, it } from 'vitest';
import { errno, list, machine, nobody, read, write } from '../machine.js';

const device = '/sys/bus/pci/devices/0000:00:04.0';
const rootPort = '/sys/bus/pci/devices/0000:00:1c.0';
/** Conventional PCI: no extended configuration space, no AER. */
const conventional = '/sys/bus/pci/devices/0000:00:05.0';
const aerNames = (path: string) => list(machine().tree, path).filter((name) => name.startsWith('aer'));

describe('error counters', () => {
  it('are where the capability is, totals at root ports', () => {
    expect(aerNames(conventional)).toEqual(['aer']);
    expect(aerNames(device)).toEqual(['aer', 'aer_dev_correctable', 'aer_dev_fatal', 'aer_dev_nonfatal']);
    expect(aerNames(rootPort).slice(4)).toEqual([
      'aer_rootport_total_err_cor',
      'aer_rootport_total_err_fatal',
      'aer_rootport_total_err_nonfatal',
    ]);
    // The switch's ports are none.
    expect(aerNames('/sys/bus/pci/devices/0000:03:00.0')).toHaveLength(4);
  });

  it('name each kind and end with the sum', () => {
    const { tree } = machine();
    expect(read(tree, `${device}/aer_dev_correctable`)).toBe(
      'RxErr 0\nBadTLP 0\nBadDLLP 0\nRollover 0\nTimeout 0\nNonFatalErr 0\nCorrIntErr 0\nHeaderOF 0\nTOTAL_ERR_COR 0\n',
    );
    const fatal = read(tree, `${device}/aer_dev_fatal`).split('\n');
    expect([fatal.length, fatal[0], fatal.at(-2)]).toEqual([25, 'Undefined 0', 'TOTAL_ERR_FATAL 0']);
    expect(read(tree, `${device}/aer_dev_nonfatal`)).toMatch(/TLPXlatBlocked 0\nTOTAL_ERR_NONFATAL 0\n$/);
    expect(read(tree, `${rootPort}/aer_rootport_total_err_cor`)).toBe('0\n');
  });
});

describe('rate limits', () => {
  it('are refused to strangers and to what is no int', () => {
    const { tree } = machine();
    for (const name of ['correctable_ratelimit_burst', 'nonfatal_ratelimit_interval_ms']) {
      expect(() => write(tree, `${device}/aer/${name}`, '1', nobody)).toThrow(errno('EPERM'));
      expect(() => write(tree, `${device}/aer/${name}`, 'x')).toThrow(errno('EINVAL'));
    }
    expect(list(tree, `${conventional}/aer`)).toEqual([]);
  });

  it('are kept per function; the interval is written in milliseconds and shown in ticks of 4', () => {
    const { tree } = machine();
    const shown = (path: string) =>
      ['burst', 'interval_ms'].map((name) => read(tree, `${path}/aer/correctable_ratelimit_${name}`));
    expect(shown(device)).toEqual(['10\n', '1250\n']);
    write(tree, `${device}/aer/correctable_ratelimit_interval_ms`, '1001\n');
    write(tree, `${device}/aer/correctable_ratelimit_burst`, '-3\n');
    expect(shown(device)).toEqual(['-3\n', '251\n']);
    write(tree, `${device}/aer/correctable_ratelimit_interval_ms`, '-5');
    expect(shown(device)).toEqual(['-3\n', '0\n']);
    expect(read(tree, `${device}/aer/nonfatal_ratelimit_burst`)).toBe('10\n');
    expect(shown(rootPort)).toEqual(['10\n', '1250\n']);
  });
});

it('link/ is there for every function', () => {
  for (const path of [device, rootPort, conventional])
    expect(list(machine().tree, `${path}/link`)).toEqual([]);
});
