/** The extra attributes of one object: what they read as, what writing does, which of them are there. */
import { refuse } from '../abi/errno.js';
import { Choice } from './attribute-choice.js';
import type { ActionDescription, AttributeDescription, ListDescription } from './attribute-description.js';
import type { KobjectEvent } from './events.js';

/** What the attributes are of. */
export interface AttributeOwner {
  /** Whose store choices take from. */
  readonly store: object;
  /** Name of the driver that has it. */
  driver?(): string | undefined;
  /** Whether a client has its vfio device open. */
  held?(): boolean;
  /** An attribute has come or gone. */
  changed?(): void;
  tell?(action: KobjectEvent['action'], variables: readonly string[]): void;
}

/** kernfs_open_node: who polls an attribute is told of changes. */
export class Notice {
  /** A file that has just been opened has seen nothing (kernfs_get_open_node()). */
  count = 1;
  private waiting: (() => void)[] = [];

  wait(wake: () => void): void {
    this.waiting.push(wake);
  }

  /** sysfs_notify(). */
  tell(): void {
    this.count++;
    const woken = this.waiting;
    this.waiting = [];
    for (const wake of woken) wake();
  }
}

export class Attribute {
  readonly choice: Choice | undefined;
  /** undefined: it is never notified. */
  readonly notice: Notice | undefined;
  lines: readonly string[] = [];
  count = 0;
  hidden = false;
  /** Told when what it lists is different. */
  readonly listener: (() => void) | undefined;

  constructor(
    readonly description: AttributeDescription,
    store: object,
  ) {
    this.choice = description.choice && new Choice(description.choice, store);
    const notice = description.notify ? new Notice() : undefined;
    this.notice = notice;
    this.listener = notice && (() => notice.tell());
    this.reset();
  }

  get readable(): boolean {
    const { value, counter, choice, list } = this.description;
    return [value, counter, choice, list].some((sort) => sort !== undefined);
  }

  get writable(): boolean {
    const { accepts, choice } = this.description;
    return accepts !== undefined || choice !== undefined || !this.readable;
  }

  /** As at first; whether it is there is another matter. */
  reset(): void {
    const { value = [], counter = 0, hidden = false } = this.description;
    this.lines = typeof value === 'string' ? [value] : value;
    this.count = counter;
    this.hidden = hidden;
    this.choice?.reset();
  }

  /** What is written, or set by an action. */
  take(text: string): void {
    const { value, counter } = this.description;
    if (this.choice) this.choice.choose(text);
    else if (counter !== undefined) this.count = Number(text);
    else if (value !== undefined) this.lines = text.split('\n');
  }
}

/** What an action that fails puts back. */
interface Memory {
  readonly lines: readonly string[];
  readonly count: number;
  readonly hidden: boolean;
  readonly chosen: Choice['chosen'];
}

export class AttributeSet {
  private readonly attributes: Map<string, Attribute>;

  constructor(
    rows: readonly AttributeDescription[],
    private readonly owner: AttributeOwner,
  ) {
    this.attributes = new Map(rows.map((row) => [row.path, new Attribute(row, owner.store)]));
    for (const one of this.attributes.values()) this.listen(one);
  }

  /** One that is there now. */
  find(path: string): Attribute | undefined {
    const attribute = this.attributes.get(path);
    return attribute && this.isThere(attribute) ? attribute : undefined;
  }

  /** Those that are there now. */
  paths(): string[] {
    return [...this.attributes].filter(([, one]) => this.isThere(one)).map(([path]) => path);
  }

  /** ENOENT, EACCES for one that is only written. */
  read(path: string): readonly string[] {
    const attribute = this.here(path);
    const { description, choice, lines, count } = attribute;
    if (!attribute.readable) refuse('EACCES', `${path} is write-only`);
    if (description.list) return this.listed(description.list);
    if (choice) return [choice.shows()];
    return description.counter === undefined ? lines : [String(count)];
  }

  /** `text` is without its newline. All that it does, or nothing: ENOENT, EACCES, EINVAL, EBUSY, and as a choice says. */
  write(path: string, text: string): void {
    const attribute = this.here(path);
    const { accepts, choice, closedOnly = choice !== undefined, onWrite = [] } = attribute.description;
    if (!attribute.writable) refuse('EACCES', `${path} is read-only`);
    if (accepts !== undefined && !new RegExp(`^(?:${accepts})$`).test(text))
      refuse('EINVAL', `${path} does not take ${JSON.stringify(text)}`);
    if (closedOnly && this.owner.held?.()) refuse('EBUSY', 'the device is open');
    this.wholly(() => {
      attribute.take(text);
      for (const action of onWrite) this.perform(action);
    });
    // After the fact, for whoever looks at once.
    for (const { uevent, variables = [] } of onWrite) if (uevent) this.owner.tell?.(uevent, variables);
  }

  /** The driver's open_device(): refuses where something has to be chosen first. */
  checkOpen(): void {
    for (const attribute of this.attributes.values()) {
      const needed = attribute.choice?.description.needed;
      if (needed && this.isThere(attribute) && !attribute.choice!.chosen)
        refuse(needed, `nothing is chosen in ${attribute.description.path}`);
    }
  }

  /** It is open. */
  opened(): void {
    this.wholly(() => {
      for (const attribute of this.attributes.values())
        if (attribute.description.counts === 'opens' && this.isThere(attribute)) attribute.count++;
    });
  }

  /** The driver has let go, and with it goes what it showed. */
  unbound(driver: string): void {
    const gone = [...this.attributes.values()].filter((one) => one.description.driver === driver);
    this.forget(gone);
    for (const { description } of gone)
      this.attributes.set(description.path, new Attribute(description, this.owner.store));
    for (const { description } of gone) this.listen(this.attributes.get(description.path)!);
  }

  /** The object goes. */
  release(): void {
    this.forget([...this.attributes.values()]);
  }

  private forget(gone: readonly Attribute[]): void {
    const listeners = gone.flatMap(({ listener }) => listener ?? []);
    for (const { choice } of this.attributes.values()) choice?.unwatch(listeners);
    for (const { choice } of gone) choice?.release();
  }

  /** A list is another one when somebody else takes of the store. */
  private listen({ listener, description: { list } }: Attribute): void {
    if (list && listener) this.attributes.get(list.of)!.choice!.watch(listener);
  }

  private here(path: string): Attribute {
    return this.find(path) ?? refuse('ENOENT', `there is no attribute ${path}`);
  }

  private isThere({ hidden, description: { driver } }: Attribute): boolean {
    return !hidden && (driver === undefined || this.owner.driver?.() === driver);
  }

  /** Actions run once each: what they set has no actions of its own. */
  private perform({ set, to, add, by = 1, clear, show, hide }: ActionDescription): void {
    const target = (path: string): Attribute => this.attributes.get(path)!;
    if (set !== undefined) target(set).take(String(to));
    if (add !== undefined) target(add).count += by;
    if (clear !== undefined) {
      const { hidden } = target(clear);
      target(clear).reset();
      target(clear).hidden = hidden;
    }
    if (show !== undefined) target(show).hidden = false;
    if (hide !== undefined) target(hide).hidden = true;
  }

  private listed({ of, which = 'creatable', header, line = '{id}' }: ListDescription): string[] {
    const choice = this.attributes.get(of)!.choice!;
    const blocked = choice.chosen !== undefined && choice.description.switchable === false;
    if (which === 'creatable' && blocked) return [];
    const rows = which === 'all' ? choice.all() : choice.creatable();
    const lines = rows.map(({ option: { id, name = String(id), cost = 1 }, left }) => {
      const fields: Record<string, string | number> = { id, name, cost, left };
      return line.replace(/\{([a-z]+)(?::([0-9]+))?\}/g, (_, key: string, width = '0') =>
        String(fields[key]).padEnd(Number(width)),
      );
    });
    return header === undefined ? lines : [header, ...lines];
  }

  /** Runs `work`, tells who polls of what is different now, and puts everything back if it throws. */
  private wholly(work: () => void): void {
    const before = new Map<Attribute, Memory>();
    for (const one of this.attributes.values())
      before.set(one, { ...stateOf(one), chosen: one.choice?.chosen });
    try {
      work();
    } catch (error) {
      for (const [one, { chosen, ...state }] of before) {
        Object.assign(one, state);
        one.choice?.take(chosen);
      }
      throw error;
    }
    let moved = false;
    for (const [one, was] of before) {
      moved ||= one.hidden !== was.hidden;
      const chose = one.choice?.chosen !== was.chosen;
      if (chose) one.choice!.told();
      if (chose || one.lines !== was.lines || one.count !== was.count) one.notice?.tell();
    }
    if (moved) this.owner.changed?.();
  }
}

const stateOf = ({ lines, count, hidden }: Attribute) => ({ lines, count, hidden });
