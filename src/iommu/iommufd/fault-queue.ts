/** A queue of page requests that user space answers (struct iommufd_fault). */
import { refuse } from '../../abi/errno.js';
import {
  hwptPageResponse,
  hwptPgfault,
  PageResponse,
  PgfaultFlag,
  PgfaultPerm,
} from '../../abi/iommufd/index.js';
import type { OpenFile } from '../../vfs/node.js';
import type { Access } from '../contract.js';
import { PAGE_SIZE } from '../range.js';
import type { AttachHandle } from './attachments.js';
import { eventFile, Pollers } from './event-file.js';

/** One page request; groups of one request each, as our devices ask for one page at a time. */
export interface PageRequest {
  readonly handle: AttachHandle;
  /** undefined: the request carries none. */
  readonly pasid: number | undefined;
  /** Page request group index: 9 bits. */
  readonly group: number;
  readonly address: bigint;
  readonly access: Access;
}

interface Waiting extends PageRequest {
  /** PageResponse. */
  respond(code: number): void;
}

export class FaultQueue {
  readonly kind = 'fault';
  /** Its descriptor, and HWPTs that report to it. */
  users = 0;
  readonly pollers = new Pollers();
  /** Not read yet. */
  private deliver: Waiting[] = [];
  /** Read, not answered yet; by cookie. */
  private readonly answers = new Map<number, Waiting>();

  constructor(readonly id: number) {}

  get pending(): boolean {
    return this.deliver.length > 0;
  }

  /** iommufd_fault_iopf_handler(): resolves to the answer. */
  request(request: PageRequest): Promise<number> {
    return new Promise((respond) => {
      this.deliver.push({ ...request, respond });
      this.pollers.wake();
    });
  }

  /** The device left: nobody can answer its requests any more (iommufd_auto_response_faults()). */
  abandon(handle: AttachHandle): void {
    const gone = this.deliver.filter((waiting) => waiting.handle === handle);
    this.deliver = this.deliver.filter((waiting) => waiting.handle !== handle);
    for (const [cookie, waiting] of this.answers) {
      if (waiting.handle !== handle) continue;
      this.answers.delete(cookie);
      gone.push(waiting);
    }
    for (const waiting of gone) waiting.respond(PageResponse.INVALID);
  }

  destroy(): void {
    const gone = [...this.deliver, ...this.answers.values()];
    this.deliver = [];
    this.answers.clear();
    for (const waiting of gone) waiting.respond(PageResponse.INVALID);
  }

  /** `[iommufd-pgfault]`; `closed` when its last descriptor is. */
  open(closed: () => void): OpenFile {
    this.users++;
    const own = {
      read: (_offset: bigint, length: number) => this.read(length),
      write: (_offset: bigint, data: Buffer) => this.write(data),
    };
    return eventFile(this, 'page requests', '[iommufd-pgfault]', own, () => {
      this.users--;
      closed();
    });
  }

  /** iommufd_fault_fops_read(): whole groups, nothing when there is none. */
  private read(length: number): Buffer {
    if (length % hwptPgfault.size !== 0) refuse('ESPIPE', `${length} bytes are no whole requests`);
    const read: Buffer[] = [];
    while (this.deliver.length > 0) {
      if ((read.length + 1) * hwptPgfault.size > length) {
        if (read.length === 0) refuse('EINVAL', `no room for a request in ${length} bytes`);
        break;
      }
      const waiting = this.deliver.shift()!;
      let cookie = 1;
      while (this.answers.has(cookie)) cookie++;
      this.answers.set(cookie, waiting);
      read.push(encode(waiting, cookie));
    }
    return Buffer.concat(read);
  }

  /** iommufd_fault_fops_write(): as far as it goes; refused only when not even the first answer is good. */
  private write(data: Buffer): number {
    const { size } = hwptPageResponse;
    if (data.length % size !== 0) refuse('ESPIPE', `${data.length} bytes are no whole answers`);
    for (let done = 0; done < data.length; done += size) {
      const { cookie, code } = hwptPageResponse.decode(data, done);
      const known = code === PageResponse.SUCCESS || code === PageResponse.INVALID;
      const waiting = known ? this.answers.get(cookie) : undefined;
      if (!waiting) return done > 0 ? done : refuse('EINVAL', `code ${code} for cookie ${cookie}`);
      this.answers.delete(cookie);
      waiting.respond(code);
    }
    return data.length;
  }
}

function encode({ handle, pasid, group, address, access }: PageRequest, cookie: number): Buffer {
  return hwptPgfault.encode({
    flags: PgfaultFlag.LAST_PAGE | (pasid === undefined ? 0 : PgfaultFlag.PASID_VALID),
    devId: handle.device.id,
    pasid: pasid ?? 0,
    grpid: group,
    perm: access === 'write' ? PgfaultPerm.WRITE : PgfaultPerm.READ,
    reserved: 0,
    addr: address & ~(PAGE_SIZE - 1n),
    length: 0,
    cookie,
  });
}
