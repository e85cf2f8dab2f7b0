/** Event queues come with a descriptor, whose number stands in the struct (iommufd_eventq_init(), fd_install()). */
import { andThen } from '../../../vfs/caller.js';
import { NewDescriptor } from '../../../vfs/node.js';
import type { FaultQueue } from '../fault-queue.js';
import type { Call } from '../operation.js';
import type { VeventQueue } from '../viommu.js';

export async function newEventDescriptor(
  call: Call<unknown>,
  queue: FaultQueue | VeventQueue,
  offset: number,
): Promise<NewDescriptor> {
  const { context, caller, argument, respond } = call;
  const at = argument + BigInt(offset);
  let told = false;
  context.hold();
  const file = queue.open(() => {
    // Never became a descriptor (the client's table is full, it died): then there is no object either.
    if (!told) {
      queue.destroy();
      context.objects.free(queue);
    }
    context.put();
  });
  try {
    // Before there is a descriptor to undo: whether the number can be told at all.
    await respond();
  } catch (error) {
    file.release!();
    throw error;
  }
  return new NewDescriptor(file, {
    deliver(fd) {
      told = true;
      const number = Buffer.alloc(4);
      number.writeUInt32LE(fd);
      return andThen(caller.memory.write(at, number), () => 0);
    },
  });
}
