/** VFIO_DEVICE_FEATURE: which features there are, which operations each offers, and what they do (vfio_ioctl_device_feature()). */
import { refuse } from '../abi/errno.js';
import { deviceFeature, Feature, FeatureFlag, lowPowerEntryWithWakeup, vfToken } from '../abi/vfio/index.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import { readArgument } from './arguments.js';
import type { OpenDevice } from './open-device.js';

const { NUMBER, GET, SET, PROBE } = FeatureFlag;

interface FeatureRow {
  /** GET and SET bits. */
  readonly operations: number;
  /** Bytes of payload. */
  readonly size: number;
  /** ENOTTY when it says no. */
  offered?(open: OpenDevice): boolean;
  run(open: OpenDevice, call: IoctlCall): Promise<void> | void;
}

const payloadAt = (call: IoctlCall): bigint => call.argument + BigInt(deviceFeature.size);

const rows: ReadonlyMap<number, FeatureRow> = new Map<number, FeatureRow>([
  [
    Feature.PCI_VF_TOKEN,
    {
      operations: SET,
      size: vfToken.size,
      offered: ({ device }) => device.token !== undefined,
      run: async ({ device }, call) =>
        device.token!.set(await call.caller.memory.read(payloadAt(call), vfToken.size)),
    },
  ],
  [Feature.LOW_POWER_ENTRY, { operations: SET, size: 0, run: ({ power }) => power.enter() }],
  [
    Feature.LOW_POWER_ENTRY_WITH_WAKEUP,
    { operations: SET, size: lowPowerEntryWithWakeup.size, run: enterWithWakeup },
  ],
  [Feature.LOW_POWER_EXIT, { operations: SET, size: 0, run: ({ power }) => power.exit() }],
]);

async function enterWithWakeup({ power, device }: OpenDevice, call: IoctlCall): Promise<void> {
  const bytes = await call.caller.memory.read(payloadAt(call), lowPowerEntryWithWakeup.size);
  const { wakeupEventfd } = lowPowerEntryWithWakeup.decode(bytes);
  if (wakeupEventfd < 0) refuse('EINVAL', 'the wake-up eventfd is negative');
  const eventfd = device.registry.eventfds.take(call.caller, wakeupEventfd);
  try {
    power.enter(eventfd);
  } catch (error) {
    eventfd.close();
    throw error;
  }
}

export async function deviceFeatureIoctl(open: OpenDevice, call: IoctlCall): Promise<number> {
  const { argsz, flags } = await readArgument(call, deviceFeature);
  if (flags & ~(NUMBER | GET | SET | PROBE)) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  if (!(flags & PROBE) && flags & SET && flags & GET) refuse('EINVAL', 'GET and SET together');
  const number = flags & NUMBER;
  // Checked before anything else of it, and by its own errno: no migration here, so no PRE_COPY.
  if (number === Feature.MIG_PRECOPY_INFOv2) refuse('EINVAL', 'the device has no PRE_COPY');
  const row = rows.get(number);
  if (!row || row.offered?.(open) === false) return refuse('ENOTTY', `the device lacks feature ${number}`);
  if (flags & (GET | SET) & ~row.operations)
    refuse('EINVAL', `feature ${number} does not offer this operation`);
  if (flags & PROBE) return 0;
  if (!(flags & (GET | SET))) refuse('EINVAL', 'neither GET nor SET');
  if (argsz - deviceFeature.size < row.size)
    refuse('EINVAL', `argsz ${argsz} leaves too little for the payload`);
  await row.run(open, call);
  return 0;
}
