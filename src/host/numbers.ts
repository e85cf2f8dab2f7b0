/** Numbers that are given and given back, the lowest free one first (ida_alloc(), irq_alloc_descs()). */
export class Numbers {
  private readonly taken = new Set<number>();
  private lowest: number;

  constructor(first = 0) {
    this.lowest = first;
  }

  take(): number {
    while (this.taken.has(this.lowest)) this.lowest++;
    this.taken.add(this.lowest);
    return this.lowest;
  }

  /** Nothing where it was not taken. */
  release(number: number): void {
    if (this.taken.delete(number)) this.lowest = Math.min(this.lowest, number);
  }
}
