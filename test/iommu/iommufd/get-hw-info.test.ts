import { describe, expect, test } from 'vitest';
import { hwInfo, hwInfoAmd, hwInfoVtd } from '../../../src/abi/iommufd/index.js';
import { type FakeHostOptions, fakeFunction } from '../../../src/testkit/fake-host.js';
import { iommu, NOWHERE } from '../client.js';
import { BUFFER, capableFunction, Session } from './context.js';

type Values = Partial<Parameters<typeof hwInfo.encode>[0]>;

async function info(values: Values, options: FakeHostOptions = {}) {
  const session = new Session(options);
  const device = session.bind();
  const buffer = session.caller.map(BUFFER, Buffer.alloc(64, 0xee));
  const request = { devId: device.id, dataUptr: BUFFER, ...values };
  return { ...(await iommu(session, session.caller, 'IOMMU_GET_HW_INFO', hwInfo, request)), buffer };
}

describe('IOMMU_GET_HW_INFO refuses', () => {
  test.each([
    ['unknown flags', { flags: 2, devId: 99 }, 'EOPNOTSUPP'],
    ['__reserved', { reserved: Buffer.from([0, 0, 1]) }, 'EOPNOTSUPP'],
    ['an unknown device', { devId: 99 }, 'ENOENT'],
    ["another driver's type", { flags: 1, dataType: 4 }, 'EOPNOTSUPP'],
    ['a buffer that is not there', { dataLen: 24, dataUptr: NOWHERE }, 'EFAULT'],
    ['a buffer that ends too early to be cleared', { dataLen: 65 }, 'EFAULT'],
  ])('%s', async (_, values, errno) => {
    expect((await info(values)).result).toBe(errno);
  });
});

describe('Intel', () => {
  const registers = { cap: 'd2008c222f0686', ecap: ((1n << 43n) | (1n << 45n) | (1n << 48n)).toString(16) };
  const options: FakeHostOptions = { iommu: { kind: 'intel', registers } };

  test('data_len 0 asks for the size; the type is ignored without its flag', async () => {
    const { result, out, buffer } = await info({ dataLen: 0, dataType: 4 }, options);
    expect(result).toBe(0);
    expect(out).toMatchObject({ dataLen: 24, dataType: 1, outMaxPasidLog2: 0 });
    expect(buffer[0]).toBe(0xee);
  });

  test('registers as sysfs has them; what is past them is cleared', async () => {
    const { out, buffer } = await info({ dataLen: 40, flags: 1, dataType: 1 }, options);
    expect(hwInfoVtd.decode(buffer)).toEqual({
      flags: 1,
      reserved: 0,
      capReg: 0xd2008c222f0686n,
      ecapReg: 0x1_2800_0000_0000n,
    });
    expect(buffer.subarray(24, 41).toString('hex')).toBe(`${'00'.repeat(16)}ee`);
    expect(out.dataLen).toBe(24);
    expect(out.outCapabilities & 1n).toBe(1n);
  });

  test('a short buffer gets the beginning', async () => {
    const { buffer } = await info({ dataLen: 12 }, options);
    expect(buffer.readUInt32LE(8)).toBe(0x222f0686);
    expect(buffer[12]).toBe(0xee);
  });

  test('capabilities: no dirty tracking outside scalable mode, no ATS without its capability; size 32 has no room', async () => {
    const plain = await info({}, { iommu: { kind: 'intel', registers: { ...registers, ecap: 'f00f5a' } } });
    expect(plain.out.outCapabilities).toBe(8n);
    expect((await info({ size: 32, outCapabilities: 0x55n }, options)).out.outCapabilities).toBe(0x55n);
    expect(
      (await info({}, { ...options, functions: [fakeFunction('0000:00:04.0')] })).out.outCapabilities,
    ).toBe(9n);
    const capable = { ...options, functions: [capableFunction()] };
    expect((await info({}, capable)).out.outCapabilities).toBe(9n);
    expect((await info({}, { ...capable, iommu: { scalableMode: true } })).out.outCapabilities).toBe(7n);
  });

  test.each([
    ['the function', {}, 10],
    [
      'the IOMMU',
      { registers: { cap: '0', ecap: ((1n << 40n) | (1n << 43n) | (4n << 35n)).toString(16) } },
      5,
    ],
    ['an IOMMU without PASIDs', { registers: { cap: '0', ecap: (1n << 43n).toString(16) } }, 0],
    ['an IOMMU in legacy mode', { registers: { cap: '0', ecap: (1n << 40n).toString(16) } }, 0],
  ])('PASIDs as far as %s has them', async (_, iommu, log2) => {
    const setUp = { functions: [capableFunction(10)], iommu: { scalableMode: log2 === 10, ...iommu } };
    expect((await info({}, setUp)).out.outMaxPasidLog2).toBe(log2);
  });
});

test('AMD: both feature registers', async () => {
  const registers = { cap: '40', ecap: '246577efa2254afa:1f' };
  const { out, buffer } = await info({ dataLen: 16 }, { iommu: { kind: 'amd', registers } });
  expect(out).toMatchObject({ dataLen: 16, dataType: 4 });
  expect(hwInfoAmd.decode(buffer)).toEqual({ efr: 0x246577efa2254afan, efr2: 0x1fn });
});
