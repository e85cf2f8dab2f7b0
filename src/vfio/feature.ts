/** VFIO_DEVICE_FEATURE: which features there are, which operations each offers, and what they do (vfio_ioctl_device_feature()). */
import { refuse } from '../abi/errno.js';
import { deviceFeature, Feature, FeatureFlag, lowPowerEntryWithWakeup, vfToken } from '../abi/vfio/index.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import type { NewDescriptor } from '../vfs/node.js';
import { readArgument } from './arguments.js';
import { dmaBufFeature } from './dma-buf-feature.js';
import { dmaLoggingFeatures } from './dma-logging.js';
import { doing, type FeatureCall, type FeatureRow } from './feature-row.js';
import { migrationFeatures } from './migration/features.js';
import type { OpenDevice } from './open-device.js';

const { NUMBER, GET, SET, PROBE } = FeatureFlag;

/** BUS_MASTER is CDX's alone: ENOTTY. */
const rows: ReadonlyMap<number, FeatureRow> = new Map<number, FeatureRow>([
  [
    Feature.PCI_VF_TOKEN,
    {
      operations: SET,
      size: vfToken.size,
      offered: ({ device }) => device.token !== undefined,
      run: doing(async ({ device }, { caller, payload }) =>
        device.token!.set(await caller.memory.read(payload, vfToken.size)),
      ),
    },
  ],
  [Feature.LOW_POWER_ENTRY, { operations: SET, size: 0, run: doing((open) => open.enterLowPower()) }],
  [
    Feature.LOW_POWER_ENTRY_WITH_WAKEUP,
    { operations: SET, size: lowPowerEntryWithWakeup.size, run: doing(enterWithWakeup) },
  ],
  [Feature.LOW_POWER_EXIT, { operations: SET, size: 0, run: doing((open) => open.exitLowPower()) }],
  ...migrationFeatures,
  dmaBufFeature,
  ...dmaLoggingFeatures,
]);

async function enterWithWakeup(open: OpenDevice, call: FeatureCall): Promise<void> {
  const bytes = await call.caller.memory.read(call.payload, lowPowerEntryWithWakeup.size);
  const { wakeupEventfd } = lowPowerEntryWithWakeup.decode(bytes);
  if (wakeupEventfd < 0) refuse('EINVAL', 'the wake-up eventfd is negative');
  const eventfd = open.device.registry.eventfds.take(call.caller, wakeupEventfd);
  try {
    open.enterLowPower(eventfd);
  } catch (error) {
    eventfd.close();
    throw error;
  }
}

export async function deviceFeatureIoctl(open: OpenDevice, call: IoctlCall): Promise<number | NewDescriptor> {
  const { argsz, flags } = await readArgument(call, deviceFeature);
  if (flags & ~(NUMBER | GET | SET | PROBE)) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  if (!(flags & PROBE) && flags & SET && flags & GET) refuse('EINVAL', 'GET and SET together');
  const number = flags & NUMBER;
  const row = rows.get(number);
  if (!row || row.offered?.(open) === false)
    return refuse(row?.lacking?.(open) ?? 'ENOTTY', `the device lacks feature ${number}`);
  if (flags & (GET | SET) & ~row.operations)
    refuse('EINVAL', `feature ${number} does not offer this operation`);
  if (flags & PROBE) return 0;
  if (!(flags & (GET | SET))) refuse('EINVAL', 'neither GET nor SET');
  if (argsz - deviceFeature.size < row.size)
    refuse('EINVAL', `argsz ${argsz} leaves too little for the payload`);
  const payload = call.argument + BigInt(deviceFeature.size);
  return row.run(open, { payload, gets: (flags & GET) !== 0, caller: call.caller });
}
