/** A pretend machine for tests of other folders: small descriptions, plain buffers behind the BARs, nothing mounted. */
import type { ModelDefinition } from '../devices/contract.js';
import { buildHost } from '../host/build.js';
import type { FunctionDescription, HostDescription } from '../host/description.js';
import type { PciDriver } from '../host/driver.js';
import type { HostHooks } from '../host/function.js';
import type { Host } from '../host/host.js';
import type { ModelLookup } from '../host/models.js';
import { plainPages } from '../host/plain-pages.js';

export interface FakeHostOptions extends Partial<HostDescription> {
  /** Models that functions may name. */
  readonly models?: readonly ModelDefinition[];
  /** Registered before the initial bindings. */
  readonly register?: readonly PciDriver[];
  readonly hooks?: HostHooks;
}

/** An integrated PCIe endpoint with FLR, a 16 KiB BAR 0 with four MSI-X vectors, and an I/O BAR 2; `more` overrides. */
export function fakeFunction(bdf: string, more: Partial<FunctionDescription> = {}): FunctionDescription {
  return {
    bdf,
    vendor: 0x1234,
    device: 0x11e8,
    class: 0x088000,
    bars: [
      { index: 0, kind: 'memory64', size: 0x4000 },
      { index: 2, kind: 'io', size: 32 },
    ],
    msix: { vectors: 4, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
    msi: { vectors: 4, maskable: true },
    interruptPin: 1,
    pcie: { type: 'rc-endpoint', flr: true },
    ...more,
  };
}

/** Fixed models as a lookup. */
export function modelLookup(models: readonly ModelDefinition[] = []): ModelLookup {
  const byName = new Map(models.map((model) => [model.name, model]));
  return { get: (name) => byName.get(name), names: () => byName.keys() };
}

/**
 * A host that has started: without options, one function 0000:00:04.0 in group 0, unbound. Functions that name no driver are bound
 * to whichever built-in one matches their ids (1234:11e8 matches none).
 */
export function fakeHost(options: FakeHostOptions = {}): Host {
  const { models, register = [], hooks, ...description } = options;
  const functions = description.functions ?? [fakeFunction('0000:00:04.0')];
  const host = buildHost({ ...description, functions }, plainPages, modelLookup(models), hooks);
  for (const driver of register) host.drivers.register(driver);
  host.applyInitialBindings();
  return host;
}
