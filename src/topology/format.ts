/** A built machine as text. */
import { stringify } from 'yaml';
import { describeHost } from '../host/describe.js';
import type { Host } from '../host/host.js';

export { describeHost };

/** What describeHost() gives, as YAML. */
export function formatHost(host: Host): string {
  return stringify(describeHost(host), { lineWidth: 0 });
}
