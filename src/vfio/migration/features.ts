/** The features of devices that migrate: MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE, MIG_PRECOPY_INFOv2. */
import { KernelError } from '../../abi/errno.js';
import {
  Feature,
  FeatureFlag,
  featureMigDataSize,
  featureMigration,
  featureMigState,
  MigrationFlag,
  MigState,
} from '../../abi/vfio/index.js';
import { NewDescriptor, type OpenFile } from '../../vfs/node.js';
import { doing, type FeatureCall, type FeatureRow } from '../feature-row.js';
import type { OpenDevice } from '../open-device.js';

const { GET, SET } = FeatureFlag;

const migrates = ({ migration }: OpenDevice): boolean => migration !== undefined;

export const migrationFeatures: readonly (readonly [number, FeatureRow])[] = [
  [
    Feature.MIGRATION,
    {
      operations: GET,
      size: featureMigration.size,
      offered: migrates,
      run: doing(({ migration }, { caller, payload }) =>
        caller.memory.write(payload, featureMigration.encode({ flags: BigInt(migration!.flags) })),
      ),
    },
  ],
  [
    Feature.MIG_DEVICE_STATE,
    { operations: GET | SET, size: featureMigState.size, offered: migrates, run: deviceState },
  ],
  [
    Feature.MIG_DATA_SIZE,
    {
      operations: GET,
      size: featureMigDataSize.size,
      offered: migrates,
      run: doing(async ({ migration }, { caller, payload }) =>
        caller.memory.write(
          payload,
          featureMigDataSize.encode({ stopCopyLength: await migration!.dataSize() }),
        ),
      ),
    },
  ],
  [
    Feature.MIG_PRECOPY_INFOv2,
    {
      operations: SET,
      size: 0,
      offered: ({ migration }) => ((migration?.flags ?? 0) & MigrationFlag.PRE_COPY) !== 0,
      // Looked at before what was asked, even by PROBE (vfio_ioctl_device_feature_migration_precopy_info_v2()).
      lacking: () => 'EINVAL',
      run: doing(({ migration }) => {
        migration!.precopyInfoV2 = true;
      }),
    },
  ],
];

/** Whatever comes of a SET, the struct goes back with the state that was asked for, and with -1 unless there is a descriptor. */
async function deviceState({ migration }: OpenDevice, call: FeatureCall): Promise<number | NewDescriptor> {
  const { memory } = call.caller;
  const asked = featureMigState.decode(await memory.read(call.payload, featureMigState.size));
  const answer = async (deviceState: number, dataFd: number) => {
    await memory.write(call.payload, featureMigState.encode({ deviceState, dataFd }));
    return 0;
  };
  if (call.gets) return answer(await migration!.getState(), -1);
  let file: OpenFile | undefined;
  try {
    file = await migration!.setState(asked.deviceState);
  } catch (error) {
    if (error instanceof KernelError) await answer(asked.deviceState, -1);
    throw error;
  }
  if (!file) return answer(asked.deviceState, -1);
  // vfio_ioct_mig_return_fd(): the device has changed its state by now, whatever becomes of the descriptor.
  return new NewDescriptor(file, {
    access: asked.deviceState === MigState.RESUMING ? 'write' : 'read',
    deliver: (fd) => answer(asked.deviceState, fd),
  });
}
