/** The methods of the control socket: one row each, with the schema of its parameters. */
import { refuse } from '../abi/errno.js';
import type { Bdf } from '../host/bdf.js';
import type { PciDriver } from '../host/driver.js';
import type { PciFunction } from '../host/pci-function.js';
import { formatProblem } from '../host/problem.js';
import { didYouMean, list } from '../host/suggest.js';
import type { Machine } from '../machine.js';
import type { Beside } from '../run/view.js';
import type { Views } from '../run/views.js';
import { addFunction, describeFunction, describeHost, schemaProblems } from '../topology/index.js';
import { Code, ProtocolError } from './protocol.js';

/** Who asks, as far as methods care. */
export interface Asker {
  /** From now on every uevent is sent. */
  subscribe(): void;
  /** The host's. */
  readonly views: Views;
}

interface Method {
  readonly params: Schema;
  call(machine: Machine, params: never, asker: Asker): unknown;
}

type Schema = Readonly<Record<string, unknown>>;

const text = (description: string): Schema => ({ type: 'string', description });
const number = (description: string): Schema => ({ type: 'integer', minimum: 0, description });
const entries: Schema = {
  type: 'array',
  description: 'real entries',
  items: {
    type: 'object',
    description: 'name, kind and, for a link, target',
    properties: {
      name: { type: 'string', pattern: '^[^/\\0]+$', description: 'a name without slashes' },
      kind: { enum: ['file', 'directory', 'link'], description: 'file, directory or link' },
      target: text('where the link points'),
    },
    required: ['name', 'kind'],
    additionalProperties: false,
  },
};
const beside: Schema = {
  type: 'object',
  description: 'real entries of dev and, if it is composed, of lib',
  properties: { dev: entries, lib: entries },
  required: ['dev'],
  additionalProperties: false,
};
const bdf = text('a BDF, like 0000:00:04.0');

/** Every parameter is required but those named `optional`. */
function named(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((key) => !optional.includes(key));
  return {
    type: 'object',
    description: 'named parameters',
    properties,
    required,
    additionalProperties: false,
  };
}

function find(machine: Machine, name: string): PciFunction {
  return machine.host.functions.get(name as Bdf) ?? refuse('ENODEV', `there is no function ${name}`);
}

function driverNamed({ host }: Machine, name: string): PciDriver {
  const driver = host.drivers.get(name);
  if (driver) return driver;
  const names = [...host.drivers.all()].map((row) => row.name);
  return refuse('ENOENT', `there is no driver ${name}${didYouMean(name, names)}`);
}

/** ENODEV for a function that no vfio driver has. */
function device(machine: Machine, bdf: string) {
  return machine.vfio.deviceOf(find(machine, bdf)) ?? refuse('ENODEV', `no vfio driver has ${bdf}`);
}

function profiles(machine: Machine, bdf: string) {
  const { fn, name, profiles: available, profile, inUse } = device(machine, bdf);
  const rows = available.map(({ name, description }) => ({ name, description: description ?? null }));
  return {
    bdf,
    driver: fn.driver?.name ?? null,
    device: name,
    in_use: inUse,
    current: profile ?? null,
    chosen: machine.host.profiles.chosen(fn) ?? null,
    available: rows,
  };
}

/** Of all devices that have some, by BDF. */
function allProfiles(machine: Machine) {
  const found = [...machine.vfio.devices.values()].filter((one) => one.profiles.length > 0);
  return found
    .map(({ fn }) => fn.bdf)
    .sort()
    .map((bdf) => profiles(machine, bdf));
}

function attributesOf(machine: Machine, bdf: string) {
  return find(machine, bdf).attributes ?? refuse('ENODEV', `${bdf} has no extra attributes`);
}

function attributes(machine: Machine, bdf: string) {
  const set = attributesOf(machine, bdf);
  const rows = set.paths().map((path) => {
    const { readable, writable } = set.find(path)!;
    return { path, writable, lines: readable ? set.read(path) : null };
  });
  return { bdf, attributes: rows };
}

export const methods: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['host.describe', { params: named({}), call: ({ host }) => describeHost(host) }],
  [
    'function.add',
    {
      params: { type: 'object', description: 'a function as in a topology file' },
      call: ({ host }, params: object) => describeFunction(addFunction(host, params)),
    },
  ],
  [
    'function.remove',
    {
      params: named({ bdf, surprise: { type: 'boolean', description: 'true or false' } }, ['surprise']),
      async call(machine, { bdf, surprise = false }: { bdf: string; surprise?: boolean }) {
        const fn = find(machine, bdf);
        await machine.host.unplug(fn, { surprise });
        return { removed: bdf };
      },
    },
  ],
  [
    'driver.bind',
    {
      params: named({ bdf, driver: text('the name of a driver') }),
      call(machine, { bdf, driver }: { bdf: string; driver: string }) {
        find(machine, bdf);
        machine.host.drivers.bind(driverNamed(machine, driver), bdf);
        return { bdf, driver };
      },
    },
  ],
  [
    'driver.unbind',
    {
      params: named({ bdf }),
      async call(machine, { bdf }: { bdf: string }) {
        const { driver } = find(machine, bdf);
        if (!driver) refuse('ENODEV', `${bdf} is bound to no driver`);
        await machine.host.drivers.unbind(driver, bdf);
        return { bdf, driver: null };
      },
    },
  ],
  [
    'driver.override',
    {
      params: named({
        bdf,
        driver: {
          type: ['string', 'null'],
          pattern: '^[^\\n\\0]{1,4094}$',
          description: 'the name of a driver, or null',
        },
      }),
      call(machine, { bdf, driver }: { bdf: string; driver: string | null }) {
        find(machine, bdf).driverOverride = driver;
        return { bdf, driver_override: driver };
      },
    },
  ],
  [
    'parameter.set',
    {
      params: named({
        module: text('the name of a module, like vfio_pci'),
        parameter: text('the name of a parameter'),
        value: { type: ['boolean', 'integer'], description: 'true, false or an integer' },
      }),
      call(
        { host },
        { module, parameter, value }: { module: string; parameter: string; value: boolean | number },
      ) {
        host.setParameter(module, parameter, value);
        return { module, parameter, value };
      },
    },
  ],
  ['profile.list', { params: named({}), call: allProfiles }],
  [
    'profile.show',
    { params: named({ bdf }), call: (machine, { bdf }: { bdf: string }) => profiles(machine, bdf) },
  ],
  [
    'profile.set',
    {
      params: named({ bdf, profile: text('the name of a profile') }),
      call(machine, { bdf, profile }: { bdf: string; profile: string }) {
        device(machine, bdf).selectProfile(profile);
        return profiles(machine, bdf);
      },
    },
  ],
  [
    'attribute.list',
    { params: named({ bdf }), call: (machine, { bdf }: { bdf: string }) => attributes(machine, bdf) },
  ],
  [
    'attribute.write',
    {
      params: named({ bdf, path: text('the path of an attribute'), text: text('what to write') }),
      call(machine, { bdf, path, text }: { bdf: string; path: string; text: string }) {
        attributesOf(machine, bdf).write(path, text);
        return attributes(machine, bdf);
      },
    },
  ],
  [
    'auxiliary.add',
    {
      params: named({ bdf, sfnum: number('the number of the function') }),
      call(machine, { bdf, sfnum }: { bdf: string; sfnum: number }) {
        const { name } = machine.host.auxiliaries.add(find(machine, bdf), sfnum);
        return { name, bdf, sfnum };
      },
    },
  ],
  [
    'auxiliary.remove',
    {
      params: named({ name: text('of the device, like acme.sf.0') }),
      async call({ host: { auxiliaries } }, { name }: { name: string }) {
        const device = auxiliaries.devices.get(name) ?? refuse('ENODEV', `there is no device ${name}`);
        await auxiliaries.remove(device);
        return { removed: name };
      },
    },
  ],
  [
    'counts',
    {
      params: named({}),
      call: (machine) => ({
        functions: machine.host.functions.size,
        groups: machine.host.groups.size,
        open: machine.counts(),
      }),
    },
  ],
  ['view.shape', { params: named({}), call: (_machine, _params, { views }) => views.shape() }],
  [
    'view.serve',
    {
      params: named({ pid: number('of the process'), fd: number('its descriptor'), beside }),
      call: (_machine, { pid, fd, beside }: { pid: number; fd: number; beside: Beside }, { views }) =>
        views.serve(pid, fd, beside),
    },
  ],
  [
    'events.subscribe',
    {
      params: named({}),
      call(machine, _params, asker) {
        asker.subscribe();
        return { seqnum: machine.lastSeqnum };
      },
    },
  ],
]);

/** Throws ProtocolError for an unknown method or misshapen parameters, KernelError for what the machine refuses. */
export function call(machine: Machine, name: string, params: unknown, asker: Asker): unknown {
  const method = methods.get(name);
  if (!method) {
    const names = [...methods.keys()];
    throw new ProtocolError(
      Code.method,
      `unknown method "${name}"${didYouMean(name.slice(0, 64), names)}; there are: ${list(names)}`,
    );
  }
  const problems = schemaProblems(method.params, params);
  if (problems.length > 0) throw new ProtocolError(Code.params, problems.map(formatProblem).join('\n'));
  return seenByAll(machine, method.call(machine, params as never, asker));
}

/** As with a write to sysfs: who is answered finds the tree as it is now. */
function seenByAll(machine: Machine, result: unknown): unknown {
  if (result instanceof Promise)
    return result.then((value: unknown) => machine.settled()?.then(() => value) ?? value);
  return machine.settled()?.then(() => result) ?? result;
}
