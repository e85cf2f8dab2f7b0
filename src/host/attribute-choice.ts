/** One choice out of a store that several objects share: who has what of it, and what is left. */
import { refuse } from '../abi/errno.js';
import type { ChoiceDescription, OptionDescription } from './attribute-description.js';
import type { PciFunction } from './pci-function.js';

const costOf = ({ cost = 1 }: OptionDescription): number => cost;

/** What all objects of one description have taken. */
class Store {
  private readonly taken = new Map<Choice, OptionDescription>();
  /** Run when what is left is different. */
  readonly listeners = new Set<() => void>();

  constructor(private readonly description: ChoiceDescription) {}

  take(holder: Choice, option: OptionDescription | undefined): void {
    if (option) this.taken.set(holder, option);
    else this.taken.delete(holder);
  }

  /** How many more of it could be had, if `holder` gave back what it has. */
  left(option: OptionDescription, holder: Choice): number {
    const { capacity = Number.POSITIVE_INFINITY } = this.description;
    let free = capacity;
    let same = 0;
    for (const [by, other] of this.taken) {
      if (by === holder) continue;
      free -= costOf(other);
      if (other === option) same++;
    }
    return Math.min(Math.floor(free / costOf(option)), (option.most ?? Number.POSITIVE_INFINITY) - same);
  }

  goesWith(option: OptionDescription, holder: Choice): boolean {
    const { mixed = 'any' } = this.description;
    for (const [by, other] of this.taken) {
      if (by === holder || mixed === 'any') continue;
      if (mixed === 'same-option' ? other !== option : costOf(other) !== costOf(option)) return false;
    }
    return true;
  }
}

const stores = new WeakMap<object, Map<ChoiceDescription, Store>>();

/** The store that the VFs of a PF, or the mediated devices of a function, share; that of a function alone. */
function storeOf(owner: object, description: ChoiceDescription): Store {
  const mine = stores.get(owner) ?? new Map<ChoiceDescription, Store>();
  const store = mine.get(description) ?? new Store(description);
  stores.set(owner, mine.set(description, store));
  return store;
}

/** Whose store it is that `fn` takes from. */
export function storeOwner(fn: PciFunction): PciFunction {
  return fn.physfn ?? fn.mediatedBy ?? fn;
}

export class Choice {
  private readonly store: Store;
  private readonly numeric: boolean;
  private now: OptionDescription | undefined;

  constructor(
    readonly description: ChoiceDescription,
    owner: object,
  ) {
    this.store = storeOf(owner, description);
    this.numeric = [...description.options.map(({ id }) => id), description.none ?? 0].every(
      (id) => typeof id === 'number',
    );
    this.reset();
  }

  get chosen(): OptionDescription | undefined {
    return this.now;
  }

  shows(): string {
    return String(this.now?.id ?? this.description.none);
  }

  /** An id as it is written: EINVAL where they are numbers and this is none, else what the description says. */
  choose(text: string): void {
    const { none, errors = {} } = this.description;
    // kstrtoul(), base 10.
    if (this.numeric && !/^\+?[0-9]+$/.test(text)) refuse('EINVAL', `not a number: ${JSON.stringify(text)}`);
    const id = this.numeric ? String(Number(text)) : text;
    const option = this.description.options.find((one) => String(one.id) === id);
    if (!option && (none === undefined || id !== String(none)))
      refuse(errors.unknown ?? 'EINVAL', `there is no ${JSON.stringify(text)}`);
    if (option) this.checkLeft(option);
    this.take(option);
  }

  private checkLeft(option: OptionDescription): void {
    const { none, errors = {}, switchable = true } = this.description;
    const { id } = option;
    if (option === this.now) return;
    if (this.now && !switchable) refuse('EBUSY', `${this.shows()} is chosen: ${none} has to come first`);
    if (!this.store.goesWith(option, this))
      refuse(errors.mixed ?? 'EINVAL', `${id} can't be beside the others`);
    if (this.store.left(option, this) < 1) refuse(errors.full ?? 'ENOSPC', `no ${id} is left`);
  }

  /** Without a look at what is left: back to what it had a moment ago, or at first. */
  take(option: OptionDescription | undefined): void {
    this.now = option;
    this.store.take(this, option);
  }

  reset(): void {
    const { options, none, start = none ?? options[0]!.id } = this.description;
    this.take(options.find(({ id }) => id === start));
  }

  /** What could be chosen now, with how many times more. */
  creatable(): { option: OptionDescription; left: number }[] {
    if (this.now && this.description.switchable === false) return [];
    return this.all().filter(({ option, left }) => left > 0 && this.store.goesWith(option, this));
  }

  all(): { option: OptionDescription; left: number }[] {
    return this.description.options.map((option) => ({ option, left: this.store.left(option, this) }));
  }

  /** What is left is to be told of from now on. */
  watch(listener: () => void): void {
    this.store.listeners.add(listener);
  }

  /** Others can choose differently now. */
  told(): void {
    for (const listener of this.store.listeners) listener();
  }

  unwatch(listeners: readonly (() => void)[]): void {
    for (const listener of listeners) this.store.listeners.delete(listener);
  }

  /** The object goes. */
  release(): void {
    const had = this.now !== undefined;
    this.take(undefined);
    if (had) this.told();
  }
}
