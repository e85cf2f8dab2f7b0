import { Chanctrl, Channel, Engine, Intrctrl, type RegisterFile } from './registers.js';

/**
 * Whether the channel at `base` reads suspended, not idle or armed, while it has no work. ioat_dev_stop() of DPDK stores SUSPEND
 * (24.11: or RESET) and wants to read suspended within 200 rte_pause(), 3 to 10 us: a store through a mapping is seen later than that.
 *
 * Only for a driver that learns all it needs from CHANCMP, errors included, and has interrupts off; or while CHANCTRL was not
 * written yet. Linux has them on (ioat_alloc_chan_resources()), SPDK sets other bits of CHANCTRL (ioat_channel_start()): both look for
 * idle after their first doorbell.
 */
export function restsSuspended(registers: RegisterFile, base: number): boolean {
  const control = registers.u16[(base + Channel.CHANCTRL) >> 1] as number;
  const interrupts = registers.u8[Engine.INTRCTRL] as number;
  const told = control === 0 || (control & Chanctrl.ERR_COMPLETION_EN) !== 0;
  return told && (interrupts & Intrctrl.MASTER_INT_EN) === 0;
}
