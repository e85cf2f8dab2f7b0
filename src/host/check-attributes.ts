/** `attributes` of a description: paths that can stand in one directory, one sort each, and references that lead somewhere. */
import type { ActionDescription, AttributeDescription, ChoiceDescription } from './attribute-description.js';
import type { Report } from './problem.js';
import { didYouMean } from './suggest.js';

const PATH = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}$/;
const sorts = ['value', 'counter', 'choice', 'list'] as const;
const deeds = ['set', 'add', 'clear', 'show', 'hide', 'uevent'] as const;

export interface AttributePlace {
  /** Names that are in the object's directory anyway. */
  readonly taken: ReadonlySet<string>;
  /** Drivers that it may wait for; undefined: the object has none of its own. */
  readonly drivers?: readonly string[];
  /** udev can be told of functions only, and a driver is nothing that vfio opens. */
  readonly sort: 'function' | 'mdev' | 'driver';
}

/** `report` takes paths below the object. */
export function checkAttributes(
  rows: readonly AttributeDescription[] | undefined,
  place: AttributePlace,
  report: Report,
): void {
  if (!rows) return;
  const byPath = new Map<string, AttributeDescription>();
  rows.forEach((row, i) => {
    const note: Report = (path, message) => report(['attributes', i, ...path], message);
    checkPath(row.path, byPath, place, note);
    byPath.set(row.path, row);
  });
  rows.forEach((row, i) => {
    const note: Report = (path, message) => report(['attributes', i, ...path], message);
    checkSort(row, place, note);
    if (row.choice) checkChoice(row.choice, (path, message) => note(['choice', ...path], message));
    if (row.list && !byPath.get(row.list.of)?.choice)
      note(
        ['list', 'of'],
        `"${row.list.of}": expected the path of a choice${didYouMean(row.list.of, byPath.keys())}`,
      );
    row.onWrite?.forEach((action, j) => {
      checkAction(action, byPath, place, (path, message) => note(['onWrite', j, ...path], message));
    });
  });
}

function checkPath(
  path: string,
  before: ReadonlyMap<string, AttributeDescription>,
  { taken }: AttributePlace,
  report: Report,
): void {
  if (!PATH.test(path)) report(['path'], `"${path}": expected up to four names with / between them`);
  const first = path.split('/')[0]!;
  if (taken.has(first)) report(['path'], `"${first}" is there already`);
  for (const other of before.keys())
    if (other === path) report(['path'], `"${path}" is described twice`);
    else if (other.startsWith(`${path}/`) || path.startsWith(`${other}/`))
      report(
        ['path'],
        `"${path}": "${other}" is described, too, and one of them would be file and directory`,
      );
}

function checkSort(row: AttributeDescription, place: AttributePlace, report: Report): void {
  const given = sorts.filter((sort) => row[sort] !== undefined);
  if (given.length > 1) report([given[1]!], `expected one of ${sorts.join(', ')}: ${given[0]} is given`);
  if (given.length === 0 && !row.onWrite) report([], `expected one of ${sorts.join(', ')}, or on_write`);
  if (row.list && (row.accepts !== undefined || row.onWrite)) report(['list'], 'a list is only read');
  if (row.counter !== undefined && row.accepts !== undefined && !isDigits(row.accepts))
    report(['accepts'], `"${row.accepts}": a counter takes digits only`);
  if (row.onWrite && given.length > 0 && row.accepts === undefined && !row.choice)
    report(['onWrite'], 'nothing can be written without accepts');
  if (row.counts && row.counter === undefined) report(['counts'], 'only a counter counts');
  if (row.accepts !== undefined) compile(row.accepts, (message) => report(['accepts'], message));
  if (row.driver !== undefined && !place.drivers?.includes(row.driver))
    report(
      ['driver'],
      place.drivers
        ? `unknown driver "${row.driver}"${didYouMean(row.driver, place.drivers)}`
        : 'this object has no driver of its own to wait for',
    );
  if (place.sort === 'driver' && (row.counts || row.closedOnly || row.choice?.needed))
    report([], 'counts, closed_only and needed are of what vfio can open');
}

/** Sets of digits, so that what is accepted is a number. */
const isDigits = (pattern: string): boolean =>
  /^(\[?[0-9]+(-[0-9])?\]?([+*?]|\{[0-9,]+\})?\|?)+$/.test(pattern);

function compile(pattern: string, report: (message: string) => void): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    report((error as Error).message);
  }
}

function checkChoice({ options, none, start, capacity, ...choice }: ChoiceDescription, report: Report): void {
  const seen = new Set<string>();
  options.forEach(({ id, cost = 1 }, i) => {
    if (seen.has(String(id)) || String(id) === String(none))
      report(['options', i, 'id'], `${id} stands for two things`);
    if (/\n/.test(String(id))) report(['options', i, 'id'], 'expected one line');
    seen.add(String(id));
    if (capacity !== undefined && cost > capacity)
      report(['options', i, 'cost'], `${cost}: expected at most the capacity of ${capacity}`);
  });
  if (start !== undefined && start !== none && !seen.has(String(start)))
    report(['start'], `${start}: expected none or an option`);
  const shares =
    capacity !== undefined ||
    options.some(({ most }) => most !== undefined) ||
    (choice.mixed ?? 'any') !== 'any';
  if (shares && none === undefined)
    report([], 'options that are shared need none, for those that have nothing');
  else if (shares && start !== undefined && start !== none)
    report(['start'], `${start}: what is shared can't be what everybody starts with`);
  if (none === undefined && (choice.needed || choice.switchable === false))
    report([], 'needed and switchable mean something with none only');
}

function checkAction(
  action: ActionDescription,
  byPath: ReadonlyMap<string, AttributeDescription>,
  { sort }: AttributePlace,
  report: Report,
): void {
  const given = deeds.filter((deed) => action[deed] !== undefined);
  if (given.length !== 1) {
    report([], `expected one of ${deeds.join(', ')}`);
    return;
  }
  const [deed] = given as [(typeof deeds)[number]];
  if (deed === 'uevent') {
    if (sort !== 'function') report(['uevent'], 'udev is told of functions only');
    return;
  }
  const path = action[deed]!;
  const target = byPath.get(path);
  if (!target) {
    report([deed], `"${path}": there is no such attribute${didYouMean(path, byPath.keys())}`);
    return;
  }
  if (deed === 'add' && target.counter === undefined) report(['add'], `"${path}" is no counter`);
  if (deed === 'set') checkSet(action, target, report);
}

function checkSet({ set, to }: ActionDescription, target: AttributeDescription, report: Report): void {
  if (to === undefined) {
    report([], 'to is missing: expected what to set');
    return;
  }
  const { choice, counter, value } = target;
  const ids = choice && [...choice.options.map(({ id }) => String(id)), String(choice.none)];
  if (ids && !ids.includes(String(to))) report(['to'], `${to}: no option of "${set}"`);
  else if (counter !== undefined && typeof to !== 'number') report(['to'], `${to}: expected a number`);
  else if (!choice && counter === undefined && value === undefined)
    report(['set'], `"${set}" has nothing to set`);
}
