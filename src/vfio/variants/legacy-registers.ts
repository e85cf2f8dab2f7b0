/**
 * The legacy interface of a virtio network device, as its PF keeps it for a VF and hands it out by admin commands (virtio 1.3, 2.12.1.2
 * and 4.1.4.10; include/uapi/linux/virtio_pci.h). Nothing moves in the queues: VFs are inert.
 */
import { refuse } from '../../abi/errno.js';
import { struct, u8, u16, u32 } from '../../abi/struct.js';

const HOST_FEATURES = 0x00;
const GUEST_FEATURES = 0x04;
const QUEUE_PFN = 0x08;
const QUEUE_NUM = 0x0c;
const QUEUE_SEL = 0x0e;
const STATUS = 0x12;
const CONFIG_VECTOR = 0x14;
const QUEUE_VECTOR = 0x16;
/** VIRTIO_PCI_CONFIG_OFF(true). */
const COMMON_SIZE = 24;
/** A receive and a transmit queue. */
const QUEUES = 2;
const QUEUE_SIZE = 256;
/** VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS. */
const FEATURES = (1 << 5) | (1 << 16);
const NO_VECTOR = 0xffff;

/** What of it a driver has set, in a migrated state. */
const stateLayout = struct(
  'legacy registers',
  { features: u32, selected: u16, configVector: u16, status: u8 },
  { size: 12 },
);
const queueLayout = struct('legacy queue', { pfn: u32, vector: u16 }, { size: 8 });
const STATE_SIZE = stateLayout.size + QUEUES * queueLayout.size;

interface Queue {
  pfn: number;
  vector: number;
}

export class LegacyRegisters {
  /** struct virtio_net_config up to `status`: the link is up. */
  static readonly configSize = 8;
  static readonly commonSize = COMMON_SIZE;
  private readonly device = Buffer.alloc(LegacyRegisters.configSize);
  private features = 0;
  private selected = 0;
  private status = 0;
  private configVector = NO_VECTOR;
  private queues: Queue[] = [];

  constructor(mac: Uint8Array) {
    this.device.set(mac);
    this.device.writeUInt16LE(1, 6);
    this.reset();
  }

  reset(): void {
    this.features = 0;
    this.selected = 0;
    this.status = 0;
    this.configVector = NO_VECTOR;
    this.queues = Array.from({ length: QUEUES }, () => ({ pfn: 0, vector: NO_VECTOR }));
  }

  /** As the device's parts are saved by the PF: all that a driver has set, the device's own registers last. */
  save(): Buffer {
    const { features, selected, configVector, status } = this;
    return Buffer.concat([
      stateLayout.encode({ features, selected, configVector, status }),
      ...this.queues.map((queue) => queueLayout.encode(queue)),
      this.device,
    ]);
  }

  /** False, and nothing done, for what is no such state. */
  load(state: Buffer): boolean {
    if (state.length !== STATE_SIZE + LegacyRegisters.configSize) return false;
    const { features, selected, configVector, status } = stateLayout.decode(state);
    Object.assign(this, { features: features & FEATURES, selected, configVector, status });
    this.queues = this.queues.map((_, i) =>
      queueLayout.decode(state, stateLayout.size + i * queueLayout.size),
    );
    state.copy(this.device, 0, STATE_SIZE);
    return true;
  }

  /** EINVAL past the end of the common part, or of the device's. */
  read(part: 'common' | 'device', at: number, length: number): Buffer {
    const bytes = part === 'common' ? this.common() : this.device;
    this.check(bytes, at, length);
    return Buffer.from(bytes.subarray(at, at + length));
  }

  write(part: 'common' | 'device', at: number, data: Buffer): void {
    const bytes = part === 'common' ? this.common() : this.device;
    this.check(bytes, at, data.length);
    data.copy(bytes, at);
    if (part === 'common') this.take(bytes, at, at + data.length);
  }

  private check(bytes: Buffer, at: number, length: number): void {
    if (at + length > bytes.length) refuse('EINVAL', `the legacy registers end at ${bytes.length}`);
  }

  private common(): Buffer {
    const bytes = Buffer.alloc(COMMON_SIZE);
    const queue = this.queues[this.selected];
    bytes.writeUInt32LE(FEATURES, HOST_FEATURES);
    bytes.writeUInt32LE(this.features, GUEST_FEATURES);
    bytes.writeUInt32LE(queue?.pfn ?? 0, QUEUE_PFN);
    bytes.writeUInt16LE(queue ? QUEUE_SIZE : 0, QUEUE_NUM);
    bytes.writeUInt16LE(this.selected, QUEUE_SEL);
    bytes.writeUInt8(this.status, STATUS);
    bytes.writeUInt16LE(this.configVector, CONFIG_VECTOR);
    bytes.writeUInt16LE(queue?.vector ?? NO_VECTOR, QUEUE_VECTOR);
    return bytes;
  }

  /** What was written to [start, end): read-only registers stay as they are. */
  private take(bytes: Buffer, start: number, end: number): void {
    const wrote = (at: number, size: number): boolean => start < at + size && at < end;
    const queue = this.queues[this.selected];
    if (wrote(GUEST_FEATURES, 4)) this.features = bytes.readUInt32LE(GUEST_FEATURES) & FEATURES;
    if (queue && wrote(QUEUE_PFN, 4)) queue.pfn = bytes.readUInt32LE(QUEUE_PFN);
    if (queue && wrote(QUEUE_VECTOR, 2)) queue.vector = bytes.readUInt16LE(QUEUE_VECTOR);
    if (wrote(CONFIG_VECTOR, 2)) this.configVector = bytes.readUInt16LE(CONFIG_VECTOR);
    if (wrote(QUEUE_SEL, 2)) this.selected = bytes.readUInt16LE(QUEUE_SEL);
    if (!wrote(STATUS, 1)) return;
    this.status = bytes.readUInt8(STATUS);
    if (this.status === 0) this.reset();
  }
}
