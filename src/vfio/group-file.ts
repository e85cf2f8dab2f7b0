/** /dev/vfio/<N>, opened, and its ioctls (drivers/vfio/group.c). */
import { refuse } from '../abi/errno.js';
import { GroupFlag, GroupIoctl, groupStatus } from '../abi/vfio/index.js';
import { type IommufdFile, isIommufd } from '../iommu/contract.js';
import { andThen, type Caller, type MaybeAsync } from '../vfs/caller.js';
import { type IoctlCall, type IoctlRow, IoctlTable } from '../vfs/ioctl.js';
import { NewDescriptor, type OpenFile } from '../vfs/node.js';
import { readArgument, readString } from './arguments.js';
import type { Container } from './container.js';
import { ContainerFile } from './container-file.js';
import type { VfioDevice } from './device.js';
import type { VfioGroup } from './group.js';
import { openFromGroup } from './group-open.js';
import { validateToken } from './token.js';

export class GroupFile implements OpenFile {
  constructor(readonly group: VfioGroup) {}

  ioctl(command: number, argument: bigint, caller: Caller) {
    return groupIoctls.run(this, command, argument, caller);
  }

  ioctlRow(command: number): IoctlRow<GroupFile> | undefined {
    return groupIoctls.get(command);
  }

  release(): void {
    this.group.drop();
  }

  describe(): string {
    return `group ${this.group.name}`;
  }
}

/** VIABLE follows from an attachment; else from nobody using the group's DMA (vfio_group_ioctl_get_status()). */
function getStatus({ group }: GroupFile, call: IoctlCall): MaybeAsync<number> {
  const written = andThen(readArgument(call, groupStatus), (status) => {
    if (!group.registered) refuse('ENODEV', `group ${group.name} has no vfio device any more`);
    if (group.attachment) status.flags = GroupFlag.VIABLE | GroupFlag.CONTAINER_SET;
    else status.flags = group.iommuGroup.viable ? GroupFlag.VIABLE : 0;
    return call.caller.memory.write(call.argument, groupStatus.encode(status));
  });
  return andThen(written, () => 0);
}

async function setContainer({ group }: GroupFile, { argument, caller }: IoctlCall): Promise<number> {
  const fd = (await caller.memory.read(argument, 4)).readInt32LE(0);
  if (fd < 0) refuse('EBADF', `descriptor ${fd} is not open`);
  const file = await caller.openFile(fd);
  let target: Container | IommufdFile | undefined;
  if (file instanceof ContainerFile) target = file.container;
  else if (isIommufd(file)) target = file;
  await group.setContainer(target, caller);
  return 0;
}

async function getDeviceFd({ group }: GroupFile, { argument, caller }: IoctlCall): Promise<NewDescriptor> {
  const text = await readString(caller, argument);
  const device = match(group, text);
  return new NewDescriptor(await openFromGroup(group, device, caller));
}

/** vfio_device_get_from_name() and vfio_pci_core_match(): ENODEV, then the options' EINVAL, then the token's errors. */
function match(group: VfioGroup, text: string): VfioDevice {
  for (const device of group.members) {
    const { bdf } = device.fn;
    if (!text.startsWith(bdf)) continue;
    const options = text.slice(bdf.length);
    if (options !== '' && !options.startsWith(' ')) continue;
    // Without a match of its own the name is all (vfio_device_get_from_name()).
    if (device.fn.mediatedBy && options !== '') continue;
    validateToken(device, tokenOption(options));
    return device;
  }
  return refuse('ENODEV', `group ${group.name} has no vfio device named ${JSON.stringify(text)}`);
}

/** The digits in either case, the name in lower case only. */
const TOKEN = /^ *(?:vf_token=([\dA-Fa-f]{8}(?:-[\dA-Fa-f]{4}){3}-[\dA-Fa-f]{12}) *)?$/;

/** ` vf_token=<uuid>`, at most once, among spaces; the UUID's 16 bytes in the order of its text. */
function tokenOption(options: string): Buffer | undefined {
  const found = TOKEN.exec(options);
  if (!found) return refuse('EINVAL', `unknown or malformed options ${JSON.stringify(options)}`);
  return found[1] === undefined ? undefined : Buffer.from(found[1].replaceAll('-', ''), 'hex');
}

export const groupIoctls = new IoctlTable<GroupFile>(
  [
    {
      number: GroupIoctl.VFIO_GROUP_GET_STATUS,
      name: 'VFIO_GROUP_GET_STATUS',
      argument: { struct: groupStatus },
      handle: getStatus,
    },
    {
      number: GroupIoctl.VFIO_GROUP_SET_CONTAINER,
      name: 'VFIO_GROUP_SET_CONTAINER',
      argument: 's32-pointer',
      handle: setContainer,
    },
    {
      number: GroupIoctl.VFIO_GROUP_UNSET_CONTAINER,
      name: 'VFIO_GROUP_UNSET_CONTAINER',
      argument: 'none',
      async handle({ group }) {
        await group.unsetContainer();
        return 0;
      },
    },
    {
      number: GroupIoctl.VFIO_GROUP_GET_DEVICE_FD,
      name: 'VFIO_GROUP_GET_DEVICE_FD',
      argument: 'string',
      handle: getDeviceFd,
    },
  ],
  'ENOTTY',
);
