/** The data_fd that writes (virtiovf_resume_fops): takes a stream in pieces of any size, and keeps no more of it than the device holds. */
import { refuse } from '../../abi/errno.js';
import type { OpenFile } from '../../vfs/node.js';
import type { Loaded, StateImage } from './state-image.js';

export class ResumeStream implements OpenFile {
  readonly stream = true;
  readonly backing: OpenFile['backing'];
  readonly anonymous: string;
  private dead = false;

  constructor(
    private readonly image: StateImage,
    private readonly device: {
      readonly bdf: string;
      readonly backing: OpenFile['backing'];
      readonly fileName: string;
    },
  ) {
    this.backing = device.backing;
    this.anonymous = device.fileName;
  }

  write(_offset: bigint, data: Buffer): number {
    if (this.dead) refuse('ENODEV', 'the device is not being loaded (any more)');
    try {
      this.image.write(data);
    } catch (error) {
      this.end();
      throw error;
    }
    return data.length;
  }

  /** EINVAL unless all of a state was written that this device can take. */
  get loaded(): Loaded {
    return this.image.loaded;
  }

  /** The session is over: ENODEV from now on. */
  end(): void {
    this.dead = true;
    this.image.drop();
  }

  describe(): string {
    return `state to load into ${this.device.bdf}`;
  }
}
