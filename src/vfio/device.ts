/**
 * A device registered with vfio (struct vfio_device): from the bind of a vfio driver until its unbind. Several open files may share its
 * one open state.
 */
import { KernelError, refuse } from '../abi/errno.js';
import type { MigrationDescription, ProfileDescription, VariantDescription } from '../host/description.js';
import { boolParameter, type Host } from '../host/host.js';
import type { PciFunction } from '../host/pci-function.js';
import { didYouMean, list } from '../host/suggest.js';
import type { BoundDevice, DmaSpace, IommufdFile } from '../iommu/contract.js';
import type { Caller, ClientProcess, MaybeAsync } from '../vfs/caller.js';
import type { OpenFile, OpenRequest } from '../vfs/node.js';
import { DeviceFile } from './device-file.js';
import type { EventFds } from './eventfds.js';
import type { VfioGroup } from './group.js';
import { Lock } from './lock.js';
import { OpenDevice } from './open-device.js';
import { D0, D3HOT, setPowerState } from './power.js';
import type { Tally } from './tally.js';
import { isPhysicalFunction, VfToken } from './token.js';
import { variantFeatures } from './variants/features.js';
import type { Overlay } from './variants/overlay.js';
import { profilesOf, startingProfile } from './variants/profiles.js';

/** What an open device's DMA goes through: a container, or an iommufd. */
export interface DeviceBinding {
  /** undefined: blocked. */
  readonly space: DmaSpace | undefined;
  /** For DMA with a PASID; only an iommufd tells them apart. */
  spaceOf?(pasid: number): DmaSpace | undefined;
  readonly iommufd?: { readonly file: IommufdFile; readonly bound: BoundDevice };
  /** One more process has opened the device: without an IOMMU its memory, too, can be reached. */
  admit?(process: ClientProcess): void;
  /** After the driver's open: attaches where opening alone implies it. */
  start?(): Promise<void>;
  /** After the driver's close. */
  release(): void;
}

/** What a driver offers beyond the core (mig_ops, log_ops of struct vfio_device, and its own ops). */
export interface VariantFeatures {
  readonly migration: MigrationDescription | undefined;
  readonly dmaLogging: boolean;
  /** Between the client and the core. */
  readonly overlay?: Overlay;
}

/** vfio_unregister_group_dev() asks again every 10 s. */
const REQUEST_INTERVAL = 10_000;

/** What devices need of the registry. */
export interface DeviceRegistry {
  readonly host: Host;
  readonly eventfds: EventFds;
  readonly tally: Tally;
  readonly devices: ReadonlyMap<number, VfioDevice>;
  deviceOf(fn: PciFunction): VfioDevice | undefined;
  /** Its profile is another. */
  reshaped(device: VfioDevice): void;
  /** Something that sysfs or devfs show of `fn` is different now. */
  changed(fn: PciFunction): void;
}

export class VfioDevice {
  readonly lock = new Lock();
  private ownToken: VfToken | undefined;
  readonly pfToken: VfToken | undefined;
  /** By vfio_pci.disable_idle_d3 as it was when the driver was bound (vfio_pci_init_dev()); variants have no such parameter. */
  readonly sleepsIdle: boolean;
  private current: { readonly open: OpenDevice; readonly binding: DeviceBinding } | undefined;
  private opens = 0;
  /** Open files, bound or not: what unregistering waits for. */
  private users = 0;
  private registered = true;
  /** Shapes that it can be given to its user in; none: it is what it is. */
  readonly profiles: readonly ProfileDescription[];
  private features: VariantFeatures;
  private lastUserGone: (() => void) | undefined;

  constructor(
    readonly registry: DeviceRegistry,
    readonly fn: PciFunction,
    readonly group: VfioGroup,
    /** X of vfio<X>: lowest free, machine-wide. */
    readonly index: number,
    private readonly driver: VariantDescription | undefined,
  ) {
    const { host } = registry;
    this.profiles = profilesOf(fn, driver, host);
    host.profiles.take(fn, startingProfile(fn, this.profiles, host));
    this.features = variantFeatures(fn, driver);
    this.pfToken = fn.physfn && registry.deviceOf(fn.physfn)?.token;
    this.sleepsIdle =
      fn.driver?.module !== 'vfio_pci' || !boolParameter(registry.host, 'vfio_pci', 'disable_idle_d3');
    this.sleep();
  }

  /** Of a PF. */
  get token(): VfToken | undefined {
    if (isPhysicalFunction(this.fn)) this.ownToken ??= new VfToken();
    return this.ownToken;
  }

  /** Its directory under /dev/vfio/devices and vfio-dev/: `vfio0`. */
  get name(): string {
    return `vfio${this.index}`;
  }

  /** The minor of its cdev; no-IOMMU devices have none, and those that the host's policy leaves to their group. */
  get cdevMinor(): number | undefined {
    return this.group.noiommu || this.hidesCdev ? undefined : this.index;
  }

  /** The host's policy for devices whose coherency nobody enforces (`vfio.noncoherent_cdev`). */
  private get hidesCdev(): boolean {
    const { vfio, iommu } = this.registry.host;
    return !vfio.noncoherentCdev && !(iommu.enforcesCoherency && this.fn.dmaCoherency === 'enforced');
  }

  get variant(): VariantFeatures {
    return this.features;
  }

  get overlay(): Overlay | undefined {
    return this.features.overlay;
  }

  /** Name of the profile it has now. */
  get profile(): string | undefined {
    return this.fn.profile?.name;
  }

  /**
   * EINVAL for an unknown name, EBUSY while anybody has it open, and what choose() refuses; else it is that device at once, and whatever
   * driver has it next.
   */
  selectProfile(name: string): void {
    const profile = this.profiles.find((one) => one.name === name);
    const names = this.profiles.map((one) => one.name);
    if (!profile)
      throw new KernelError(
        'EINVAL',
        `${this.fn.bdf} has no profile ${JSON.stringify(name)}${didYouMean(name, names)}; there are: ${list(names)}`,
      );
    if (this.inUse)
      refuse(
        'EBUSY',
        `${this.fn.bdf} is in use: profile ${JSON.stringify(name)} has to wait until it is closed`,
      );
    const before = this.fn.profile;
    this.registry.host.profiles.choose(this.fn, profile);
    if (profile === before) return;
    this.features = variantFeatures(this.fn, this.driver);
    this.sleep();
    this.registry.reshaped(this);
  }

  /** Somebody has a file of it open, bound or not, or it is being unbound: its profile stays what it is. */
  get inUse(): boolean {
    return this.users > 0 || !this.registered;
  }

  get openCount(): number {
    return this.opens;
  }

  get opened(): OpenDevice | undefined {
    return this.current?.open;
  }

  get binding(): DeviceBinding | undefined {
    return this.current?.binding;
  }

  /** vfio_device_try_get_registration(): every open file counts; ENODEV once unregistering has begun. */
  use(): void {
    if (!this.registered) refuse('ENODEV', `${this.fn.bdf} is being unbound`);
    this.users++;
    this.registry.tally.deviceFiles++;
  }

  unuse(): void {
    this.registry.tally.deviceFiles--;
    if (--this.users === 0) this.lastUserGone?.();
  }

  /** /dev/vfio/devices/vfio<X>: may be opened any number of times; one of them can be bound. */
  openCdev(_request: OpenRequest, _caller: Caller): OpenFile {
    if (this.cdevMinor === undefined) refuse('ENODEV', `${this.fn.bdf} has no cdev`);
    this.use();
    return new DeviceFile(this, 'cdev');
  }

  /** vfio_df_open(); `bind` runs for the first open only. The caller holds `lock`. */
  async open(bind: () => DeviceBinding): Promise<void> {
    if (!this.fn.present) refuse('ENODEV', `${this.fn.bdf} was pulled out`);
    if (this.opens === 0) {
      const binding = bind();
      let open: OpenDevice | undefined;
      try {
        this.fn.attributes?.checkOpen();
        setPowerState(this.fn, D0);
        open = new OpenDevice(this, binding);
        this.current = { open, binding };
        await binding.start?.();
        if (this.pfToken) this.pfToken.users++;
      } catch (error) {
        this.current = undefined;
        open?.close();
        this.sleep();
        binding.release();
        throw error;
      }
    }
    if (this.opens++ === 0) this.fn.attributes?.opened();
    this.registry.changed(this.fn);
  }

  /** vfio_df_close(). */
  close(): MaybeAsync<void> {
    return this.lock.run(() => this.closeLocked());
  }

  /** close() for who holds `lock` already. */
  closeLocked(): void {
    if (--this.opens > 0 || !this.current) return;
    const { open, binding } = this.current;
    this.current = undefined;
    if (this.pfToken) this.pfToken.users--;
    open.close();
    this.sleep();
    binding.release();
    this.registry.changed(this.fn);
  }

  /** vfio_unregister_group_dev(): asks the user through REQ, at once and every 10 s, until the last open file is closed. */
  async unregister(): Promise<void> {
    this.registered = false;
    if (this.users > 0) await this.released();
    setPowerState(this.fn, D0);
  }

  private released(): Promise<void> {
    return new Promise<void>((resolve) => {
      const ask = (): void => this.opened?.irqs.requestRelease();
      const timer = setInterval(ask, REQUEST_INTERVAL);
      this.lastUserGone = () => {
        clearInterval(timer);
        resolve();
      };
      ask();
    });
  }

  /** Nothing but an open file keeps it awake any more. */
  rest(): void {
    if (this.opens === 0) this.sleep();
  }

  /** Runtime PM puts a bound device that nobody has open into D3hot. */
  private sleep(): void {
    if (this.sleepsIdle) this.fn.configure(() => setPowerState(this.fn, D3HOT));
  }
}
