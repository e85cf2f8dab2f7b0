/** Profiles of a description: which one a function has, and what that makes of it. */
import { isDeepStrictEqual } from 'node:util';
import { type FunctionDescription, type ProfileDescription, profileKeys } from './description.js';
import { withoutUndefined } from './shape.js';

type Overrides = Partial<FunctionDescription>;

/** What it overrides of the function. */
const none: Overrides = {};

export function overridesOf(profile: ProfileDescription | undefined): Overrides {
  if (!profile) return none;
  return withoutUndefined<Overrides>(
    Object.fromEntries(profileKeys.map((key) => [key, profile[key]])) as Overrides,
  );
}

export function withProfile(
  row: FunctionDescription,
  profile: ProfileDescription | undefined,
): FunctionDescription {
  return profile ? { ...row, ...overridesOf(profile) } : row;
}

/** The one of that name, or the first; undefined where none is described. */
export function initialProfile(
  { profiles }: Pick<FunctionDescription, 'profiles'>,
  name?: string,
): ProfileDescription | undefined {
  return profiles?.find((one) => one.name === name) ?? profiles?.[0];
}

/** Whether the device is the same in both, so that only what a vfio client is offered differs. */
export function sameHardware(a: ProfileDescription | undefined, b: ProfileDescription | undefined): boolean {
  if (a === b) return true;
  const hardware = (profile: ProfileDescription | undefined) => {
    const { migration: _migration, dmaLogging: _dmaLogging, ...rest } = overridesOf(profile);
    return rest;
  };
  return isDeepStrictEqual(hardware(a), hardware(b));
}
