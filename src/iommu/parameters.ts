import type { Host } from '../host/host.js';

/** A uint module parameter as it stands now; `fallback` is the kernel's default where the host has no such parameter. */
export function uintParameter(host: Host, module: string, parameter: string, fallback: number): number {
  const value = host.modules.get(module)?.parameters.find((row) => row.name === parameter)?.value;
  return typeof value === 'number' ? value : fallback;
}
