/** Where DMA of one device goes, for one PASID: through what it is attached to when it asks, page requests included. */
import { PageResponse } from '../../abi/iommufd/index.js';
import { andThen, type MaybeAsync } from '../../vfs/caller.js';
import type { Access, AddressSpace, Translation } from '../contract.js';
import { type Attachment, NO_PASID } from './attachments.js';
import type { Device } from './device.js';

type Missing = Extract<Translation, { ok: false }>;

/** Page request group indices have nine bits. */
const GROUPS = 512;
/** Answers that change nothing, before a device gives up. */
const MOST_REQUESTS = 64;

export class DeviceSpace implements AddressSpace {
  private nextGroup = 0;
  private waiting = 0;

  constructor(
    private readonly device: Device,
    private readonly pasid: number,
  ) {}

  translate(iova: bigint, length: number, access: Access): MaybeAsync<Translation> {
    const attachment = this.device.attachment(this.pasid);
    if (!attachment) return { ok: false, iova, reason: 'the device is attached to nothing' };
    return andThen(attachment.table.translate(iova, length, access), (result) =>
      result.ok || result.final || !attachment.table.fault
        ? result
        : this.askForPages(attachment, result, { iova, length, access }),
    );
  }

  dirtied(iova: bigint, length: number): void {
    this.device.attachment(this.pasid)?.table.dirtied(iova, length);
  }

  /** The device asks for the page, waits for the answer, and tries again: address translation service with page requests. */
  private async askForPages(
    attachment: Attachment,
    missing: Missing,
    wish: { iova: bigint; length: number; access: Access },
  ): Promise<Translation> {
    const { table, handle } = attachment;
    let result: Translation = missing;
    for (let tries = 0; tries < MOST_REQUESTS; tries++) {
      if (result.ok || result.final || !table.fault || attachment.handle !== handle) return result;
      if (this.waiting === GROUPS) return { ...result, reason: `${result.reason}; no page request left` };
      const group = this.nextGroup;
      this.nextGroup = (group + 1) % GROUPS;
      this.waiting++;
      const code = await table.fault.request({
        handle,
        pasid: this.pasid === NO_PASID ? undefined : this.pasid,
        group,
        address: result.iova,
        access: wish.access,
      });
      this.waiting--;
      if (code !== PageResponse.SUCCESS)
        return { ...result, reason: `${result.reason}; page request refused` };
      result = copied(await table.translate(wish.iova, wish.length, wish.access));
    }
    return result;
  }
}

/** translate() may reuse its pieces, and whoever waits for a promise looks later. */
function copied(result: Translation): Translation {
  return result.ok ? { ok: true, pieces: result.pieces.map((piece) => ({ ...piece })) } : result;
}
