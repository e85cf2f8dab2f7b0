/** Extra attributes of an object in sysfs, as vendors' drivers have them: a few sorts with semantics. `docs/topology.md` explains them in words. */
import type { ErrnoName } from '../abi/errno.js';
import type { KobjectEvent } from './events.js';

export interface AttributeDescription {
  /** Below the object's directory, up to four names: `nvidia/current_vgpu_type`. */
  readonly path: string;
  /** Of a function: there only while this driver has it, and as at first each time; default: always. */
  readonly driver?: string;
  /** Not there until an action shows it; default false. */
  readonly hidden?: boolean;

  /** What it reads as: a line or several; an empty list is an empty file. One of `value`, `counter`, `choice` and `list`, or none: write-only. */
  readonly value?: string | readonly string[];
  /** What it counts from. */
  readonly counter?: number;
  /** What a counter counts by itself: opens of the vfio device. */
  readonly counts?: 'opens';
  readonly choice?: ChoiceDescription;
  readonly list?: ListDescription;

  /**
   * What may be written, as a regular expression of the whole text, without the newline; anything else is EINVAL. A value becomes what is
   * written. Choices and write-only attributes need none.
   */
  readonly accepts?: string;
  /** Writing is EBUSY while a client has the vfio device open; default false, for a choice true. */
  readonly closedOnly?: boolean;
  /** sysfs_notify() whenever it changes; default false: who polls is told that it is ready at all times. */
  readonly notify?: boolean;
  /** What happens when something has been written, in this order, all of it or nothing. */
  readonly onWrite?: readonly ActionDescription[];
}

/** One of a list, out of a store that is shared by all objects that the description is of: the VFs of a PF. */
export interface ChoiceDescription {
  readonly options: readonly OptionDescription[];
  /** What stands for none of them; default: there has to be one. */
  readonly none?: string | number;
  /** Default: `none`, or the first. */
  readonly start?: string | number;
  /** How much there is to share; default: any. */
  readonly capacity?: number;
  /** What may be chosen beside each other: `any` (default), what has the `same-cost`, or the `same-option` alone. */
  readonly mixed?: 'any' | 'same-cost' | 'same-option';
  /** From one to another without `none` in between; default true. False: EBUSY. */
  readonly switchable?: boolean;
  /** Opening the vfio device fails so while nothing is chosen; default: it does not fail. */
  readonly needed?: ErrnoName;
  readonly errors?: ChoiceErrors;
}

export interface OptionDescription {
  readonly id: string | number;
  /** For people; default: the id. */
  readonly name?: string;
  /** Of the capacity; default 1. */
  readonly cost?: number;
  /** How many objects can have it at a time; default: as many as the capacity lets. */
  readonly most?: number;
}

/** With what a choice refuses. */
export interface ChoiceErrors {
  /** No such option; default EINVAL. */
  readonly unknown?: ErrnoName;
  /** Not beside what others have; default EINVAL. */
  readonly mixed?: ErrnoName;
  /** Not enough left, or as many as there may be; default ENOSPC. */
  readonly full?: ErrnoName;
}

/** The options of a choice of the same object, one a line. */
export interface ListDescription {
  /** The path of the choice. */
  readonly of: string;
  /** Default `creatable`: what could be chosen now; nothing at all where that takes `none` first. */
  readonly which?: 'creatable' | 'all';
  /** First line. */
  readonly header?: string;
  /** `{id}`, `{name}`, `{cost}` and `{left}` (how many more), each with a width: `{id:5}`; default `{id}`. */
  readonly line?: string;
}

/** Exactly one of the first five. Paths are of the same object. */
export interface ActionDescription {
  /** A value takes `to`, a choice chooses it; a counter has it. */
  readonly set?: string;
  readonly to?: string | number;
  /** A counter counts `by`; default 1. */
  readonly add?: string;
  readonly by?: number;
  /** As it was at first. */
  readonly clear?: string;
  readonly show?: string;
  readonly hide?: string;
  /** Tells udev of the function. */
  readonly uevent?: KobjectEvent['action'];
  /** Of the uevent: `KEY=VALUE`. */
  readonly variables?: readonly string[];
}
