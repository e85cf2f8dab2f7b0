/**
 * /sys/module. All modules of this machine are built in: kmod then takes them for loaded without touching the real kernel, where
 * removing a "loaded" one would remove its namesake of the host. A built-in module has a directory only if there is something to show
 * in it, and neither initstate nor refcnt.
 */
import { refuse } from '../../abi/errno.js';
import type { KernelModule, ModuleDriver, ModuleParameter } from '../../host/host.js';
import type { Model } from '../context.js';
import { textNode } from '../kit/attribute.js';
import {
  DirectoryClass,
  directories,
  type Entry,
  family,
  links,
  subdirectory,
  text,
} from '../kit/directory.js';
import { parseBool, parseUint } from '../kit/parse.js';
import { paths } from '../paths.js';
import { plainUevent } from './uevent.js';

const visible = ({ mode }: ModuleParameter) => (mode & 0o777) !== 0;

/** param_get_bool(), param_get_uint() and the setters (kernel/params.c). */
function parameters(): Entry<KernelModule> {
  return subdirectory(
    'parameters',
    [
      family<KernelModule, ModuleParameter>(
        'file',
        {
          names: (module) => module.parameters.filter(visible).map(({ name }) => name),
          find: (module, name) => module.parameters.find((row) => row.name === name && visible(row)),
        },
        (parameter, place) =>
          textNode(
            {
              mode: parameter.mode,
              show: () =>
                typeof parameter.value === 'number' ? parameter.value : parameter.value ? 'Y' : 'N',
              store(content) {
                if ((parameter.mode & 0o222) === 0) refuse('EPERM', `${parameter.name} can't be written`);
                parameter.value = parameter.kind === 'bool' ? parseBool(content) : parseUint(content);
              },
            },
            place,
          ),
      ),
    ],
    { when: (module) => module.parameters.some(visible) },
  );
}

const linkName = ({ bus, name }: ModuleDriver) => `${bus}:${name}`;

/** make_driver_name(). libvirt gets from a module to its driver by drivers/pci:<driver>. */
function drivers(): Entry<KernelModule> {
  return subdirectory(
    'drivers',
    [
      links<KernelModule, ModuleDriver>(
        {
          names: (module) => module.drivers.map(linkName),
          find: (module, name) => module.drivers.find((driver) => linkName(driver) === name),
        },
        ({ bus, name }) => paths.driver(name, bus),
      ),
    ],
    { when: (module) => module.drivers.length > 0 },
  );
}

/** Whether /sys/module has a directory of it. DPDK takes vfio and vfio_pci for missing without one. */
export function hasDirectory(module: KernelModule): boolean {
  return module.version !== undefined || module.drivers.length > 0 || module.parameters.some(visible);
}

export function modules(model: Model): Entry<void> {
  const { host } = model;
  const module = new DirectoryClass<KernelModule>(
    [
      parameters(),
      drivers(),
      text('version', { when: ({ version }) => version !== undefined, show: ({ version }) => version! }),
      plainUevent(host, 'module'),
    ],
    { alive: (row) => host.modules.get(row.name) === row, key: (row) => row },
  );
  return subdirectory('module', [
    directories<void, KernelModule>(
      {
        *names() {
          for (const row of host.modules.values()) if (hasDirectory(row)) yield row.name;
        },
        find(_, name) {
          const row = host.modules.get(name);
          return row && hasDirectory(row) ? row : undefined;
        },
      },
      module,
    ),
  ]);
}
