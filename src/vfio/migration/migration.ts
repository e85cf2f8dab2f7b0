/**
 * Migration of an open device (struct vfio_migration_ops): its state, the arcs between states, the two data_fds. One request at a time, as
 * under the state_mutex of the variant drivers; a reset that comes in between takes effect at its end (deferred_reset).
 */
import { refuse } from '../../abi/errno.js';
import { MigrationFlag, MigState } from '../../abi/vfio/index.js';
import { StateRefused } from '../../devices/contract.js';
import type { MigrationDescription } from '../../host/description.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { MaybeAsync } from '../../vfs/caller.js';
import type { OpenFile } from '../../vfs/node.js';
import type { VirtualConfig } from '../config/virtual-config.js';
import { Lock } from '../lock.js';
import type { Overlay } from '../variants/overlay.js';
import { loadConfig, saveConfig } from './config.js';
import { fileNameOf } from './file-name.js';
import { identityOf } from './identity.js';
import { CopiedPages } from './pages.js';
import { RECORD_HEADER, record, Tag } from './records.js';
import { ResumeStream } from './resume-stream.js';
import { SaveStream } from './save-stream.js';
import { type Loaded, StateImage } from './state-image.js';
import { type Arc, arcsOf, stateName, wayTo } from './states.js';

const { ERROR, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = MigState;

const flagBits = {
  'stop-copy': MigrationFlag.STOP_COPY,
  p2p: MigrationFlag.P2P,
  'pre-copy': MigrationFlag.PRE_COPY,
};

/** What of the open device migrates. */
export interface MigratingDevice {
  readonly fn: PciFunction;
  readonly config: VirtualConfig;
  readonly backing: OpenFile['backing'];
  /** It has another face than its function. */
  readonly overlay?: Pick<Overlay, 'save' | 'load'> | undefined;
}

/** A step: nothing, or the data_fd it opens. A refusal leaves the device where it was. */
type Step = (migration: Migration) => MaybeAsync<OpenFile | undefined>;

export class Migration {
  /** VFIO_MIGRATION_*. */
  readonly flags: number;
  /** The client opted in (MIG_PRECOPY_INFOv2), for as long as the device is open. */
  precopyInfoV2 = false;
  private readonly arcs: readonly Arc[];
  private readonly fileName: string;
  private readonly lock = new Lock();
  private state: number = RUNNING;
  private paused = false;
  private saving: { readonly stream: SaveStream; readonly pages: CopiedPages } | undefined;
  private resuming: ResumeStream | undefined;
  private busy = false;
  private resetDeferred = false;
  private closed = false;

  constructor(
    readonly device: MigratingDevice,
    { flags }: MigrationDescription,
  ) {
    this.flags = flags.reduce((bits, flag) => bits | flagBits[flag], 0);
    this.arcs = arcsOf(this.flags);
    this.fileName = fileNameOf(device.fn.driver);
  }

  getState(): MaybeAsync<number> {
    return this.exclusive(() => this.state);
  }

  /** The data_fd when the last step opens one. EINVAL where there is no way; on failure the device stays where it had come to. */
  setState(target: number): MaybeAsync<OpenFile | undefined> {
    return this.exclusive(async () => {
      // Also for ERROR, which no way leads to.
      if (target === this.state) return undefined;
      const way = target === ERROR || this.state === ERROR ? undefined : wayTo(this.arcs, this.state, target);
      if (!way) return refuse('EINVAL', `no way from ${stateName(this.state)} to ${stateName(target)}`);
      let opened: OpenFile | undefined;
      for (const arc of way) {
        opened = await this.take(arc);
        this.state = arc.to;
      }
      return opened;
    });
  }

  /** MIG_DATA_SIZE: what a stop-and-copy would come to now, were nothing copied ahead. */
  dataSize(): MaybeAsync<bigint> {
    return this.exclusive(() => {
      const memory = this.device.fn.state.memories().reduce((sum, { length }) => sum + pagesSize(length), 0);
      return BigInt(memory + FIXED_SIZE);
    });
  }

  /** pci_error_handlers.reset_done: the device runs again, and the sessions are over. */
  resetDone(): void {
    this.resetDeferred = true;
    if (!this.busy) this.finishReset();
  }

  /** The last close of the device. */
  close(): void {
    this.closed = true;
    this.endSessions();
    if (!this.busy) this.letGo();
  }

  private exclusive<T>(body: () => MaybeAsync<T>): MaybeAsync<T> {
    return this.lock.run(async () => {
      this.busy = true;
      try {
        return await body();
      } finally {
        this.busy = false;
        this.finishReset();
        if (this.closed) this.letGo();
      }
    });
  }

  private finishReset(): void {
    if (!this.resetDeferred) return;
    this.resetDeferred = false;
    this.endSessions();
    this.letGo();
  }

  endSessions(): void {
    this.saving?.stream.end();
    this.resuming?.end();
    this.saving = undefined;
    this.resuming = undefined;
  }

  private letGo(): void {
    this.state = RUNNING;
    if (this.paused) this.resume();
  }

  private async take(arc: Arc): Promise<OpenFile | undefined> {
    const step = steps.get(key(arc.from, arc.to));
    if (!step) throw new Error(`no step from ${stateName(arc.from)} to ${stateName(arc.to)}`);
    const opened = await step(this);
    // Pulled out or closed while it was under way: what the step began has nobody to end it.
    if (this.closed || !this.device.fn.present) {
      this.endSessions();
      refuse('ENODEV', 'the device is gone');
    }
    return opened;
  }

  // What the steps do.

  async pause(): Promise<void> {
    await this.device.fn.state.pause();
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    if (this.device.fn.present) this.device.fn.state.resume();
  }

  async save(phase: 'copying' | 'complete'): Promise<OpenFile> {
    const pages = new CopiedPages(this.device.fn.state.memories());
    const records = [
      record(Tag.IDENTITY, identityOf(this.device.fn, this.device.overlay !== undefined)),
      ...(await pages.take()),
    ];
    if (phase === 'complete') records.push(...this.rest());
    const stream = new SaveStream(this.savedDevice(pages), records, phase);
    this.saving = { stream, pages };
    return stream;
  }

  async saveRest(): Promise<void> {
    const { stream, pages } = this.saving!;
    stream.complete([...(await pages.take()), ...this.rest()]);
  }

  load(): OpenFile {
    const { fn, backing, overlay } = this.device;
    const sizes = fn.state.memories().map(({ length }) => length);
    this.resuming = new ResumeStream(new StateImage(identityOf(fn, overlay !== undefined), sizes), {
      bdf: fn.bdf,
      backing,
      fileName: this.fileName,
    });
    return this.resuming;
  }

  /** EINVAL for what is no state of such a device, and the client can only reset it then. */
  apply(): void {
    const loaded = this.resuming!.loaded;
    const { fn, config, overlay } = this.device;
    fill(fn.state.memories(), loaded);
    try {
      fn.state.load(loaded.state);
    } catch (error) {
      if (error instanceof StateRefused) refuse('EINVAL', error.message);
      this.state = ERROR;
      throw error;
    }
    if (overlay && !overlay.load(loaded.overlay ?? Buffer.alloc(0)))
      refuse('EINVAL', 'the registers of the overlay are missing, or of another kind');
    if (!loadConfig(config, loaded.config)) refuse('EINVAL', 'the configuration is none of this function');
    this.endSessions();
  }

  private rest(): Buffer[] {
    const { fn, config, overlay } = this.device;
    return [
      record(Tag.CONFIG, saveConfig(config)),
      record(Tag.STATE, fn.state.save()),
      ...(overlay ? [record(Tag.OVERLAY, overlay.save())] : []),
      record(Tag.END),
    ];
  }

  private savedDevice(pages: CopiedPages) {
    const migration = this;
    return {
      bdf: this.device.fn.bdf,
      backing: this.device.backing,
      fileName: this.fileName,
      get precopyInfoV2() {
        return migration.precopyInfoV2;
      },
      changes: () => pages.take(),
      whileCopying<T>(body: () => MaybeAsync<T>) {
        return migration.exclusive(() => {
          if (migration.state !== PRE_COPY && migration.state !== PRE_COPY_P2P)
            refuse('EINVAL', `nothing is copied ahead in ${stateName(migration.state)}`);
          if (!migration.device.fn.present) refuse('ENODEV', 'the device was pulled out');
          return body();
        });
      },
    };
  }
}

function fill(memories: readonly Buffer[], { pages }: Loaded): void {
  for (const [i, memory] of memories.entries()) {
    memory.fill(0);
    for (const [offset, bytes] of pages[i]!) bytes.copy(memory, offset);
  }
}

/** Everything but pages, generously. */
const FIXED_SIZE = 8192;
const PAGE = 4096;
const pagesSize = (length: number): number => length + Math.ceil(length / PAGE) * 2 * RECORD_HEADER;

const key = (from: number, to: number): string => `${from}>${to}`;
const doing =
  (act: (migration: Migration) => MaybeAsync<void>): Step =>
  async (migration) => {
    await act(migration);
    return undefined;
  };
const nothing: Step = () => undefined;
const pause = doing((migration) => migration.pause());
const resume = doing((migration) => migration.resume());
const end = doing((migration) => migration.endSessions());

/** What a driver does on each arc (virtiovf_pci_step_device_state_locked()). In RUNNING_P2P the device answers and initiates nothing, as in STOP. */
const steps: ReadonlyMap<string, Step> = new Map<string, Step>([
  [key(RUNNING, RUNNING_P2P), pause],
  [key(RUNNING_P2P, RUNNING), resume],
  [key(RUNNING_P2P, STOP), nothing],
  [key(STOP, RUNNING_P2P), nothing],
  [key(RUNNING, STOP), pause],
  [key(STOP, RUNNING), resume],
  [key(STOP, STOP_COPY), (migration) => migration.save('complete')],
  [key(STOP_COPY, STOP), end],
  [key(STOP, RESUMING), (migration) => migration.load()],
  [key(RESUMING, STOP), doing((migration) => migration.apply())],
  [key(RUNNING, PRE_COPY), (migration) => migration.save('copying')],
  [key(RUNNING_P2P, PRE_COPY_P2P), (migration) => migration.save('copying')],
  [key(PRE_COPY, RUNNING), end],
  [key(PRE_COPY_P2P, RUNNING_P2P), end],
  [key(PRE_COPY, PRE_COPY_P2P), pause],
  [key(PRE_COPY_P2P, PRE_COPY), resume],
  [key(PRE_COPY_P2P, STOP_COPY), doing((migration) => migration.saveRest())],
  [
    key(PRE_COPY, STOP_COPY),
    doing(async (migration) => {
      await migration.pause();
      await migration.saveRest();
    }),
  ],
]);
