/**
 * Capability chains of the INFO ioctls (vfio_info_cap_add(), vfio_info_cap_shift()): each capability starts with
 * `struct vfio_info_cap_header`, is padded to 8 bytes, and names its successor by the offset from the start of the INFO struct.
 */
import { struct, u16, u32 } from '../struct.js';

export const infoCapHeader = struct(
  'vfio_info_cap_header',
  { id: u16, version: u16, next: u32 },
  { size: 8 },
);

export interface InfoCapability {
  readonly id: number;
  readonly version: number;
  /** What follows the 8-byte header. */
  readonly body: Uint8Array;
}

/** What a capability of `length` bytes takes in a chain. */
export const padded = (length: number): number => Math.ceil(length / 8) * 8;

/** The bytes that follow an INFO struct of `base` bytes; empty without capabilities. */
export function capabilityChain(base: number, capabilities: readonly InfoCapability[]): Buffer {
  const parts: Buffer[] = [];
  let end = base;
  capabilities.forEach((capability, index) => {
    const part = Buffer.alloc(padded(infoCapHeader.size + capability.body.length));
    end += part.length;
    const next = index === capabilities.length - 1 ? 0 : end;
    infoCapHeader.encodeInto(part, 0, { id: capability.id, version: capability.version, next });
    part.set(capability.body, infoCapHeader.size);
    parts.push(part);
  });
  return Buffer.concat(parts);
}
