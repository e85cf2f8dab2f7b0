/** Something wrong with a description: where, and what was expected. */

export interface Problem {
  /** Into the HostDescription: ['functions', 3, 'bdf']. */
  readonly path: readonly (string | number)[];
  /** Names the value and what was expected. */
  readonly message: string;
}

/** Collects problems below one place of a description. */
export type Report = (path: readonly (string | number)[], message: string) => void;

/** `functions[3].bdf: message` */
export function formatProblem({ path, message }: Problem): string {
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return place === '' ? message : `${place.replace(/^\./, '')}: ${message}`;
}

export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
