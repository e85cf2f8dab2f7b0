/** The data of a topology file with exactly `count` functions. */
export function topology(count: number): Record<string, unknown>;
