import { describe, expect, it } from 'vitest';
import { ModelRegistry, models, UnknownModelError } from '../../src/devices/index.js';
import { ioat } from '../../src/devices/ioat/index.js';

describe('the registry of device models', () => {
  it('refuses an unknown name, and says the known ones', () => {
    const registry = new ModelRegistry([ioat, { ...ioat, name: 'another' }]);
    expect(() => registry.get('nvme')).toThrow(UnknownModelError);
    expect(() => registry.get('nvme')).toThrow('no device model "nvme"; known: another, ioat');
    expect(() => new ModelRegistry().get('ioat')).toThrow('known: none');
  });

  it.each(['constructor', '__proto__', ''])('does not know %j', (name) => {
    expect(() => models.get(name)).toThrow(UnknownModelError);
    expect(models.has(name)).toBe(false);
  });

  it('refuses a second model of the same name, and names a topology could not spell', () => {
    const registry = new ModelRegistry([ioat]);
    expect(() => registry.add(ioat)).toThrow('device model ioat is there already');
    expect(() => registry.add({ ...ioat, name: 'Big Model' })).toThrow('"Big Model"');
  });

  it('finds models and lists them by name', () => {
    const registry = new ModelRegistry([ioat]).add({ ...ioat, name: 'a' });
    expect(registry.get('ioat')).toBe(ioat);
    expect(registry.names()).toEqual(['a', 'ioat']);
    expect([...registry].map(({ name }) => name)).toEqual(['a', 'ioat']);
    expect(models.has('ioat')).toBe(true);
  });
});
