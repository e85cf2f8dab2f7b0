/**
 * A function's DMA on the address space its client gave it: IOVA → pieces of client memory → copy. This is the hot path: where the
 * pieces answer synchronously, so does everything here.
 */
import { KernelError } from '../abi/errno.js';
import { type Dma, type DmaByPasid, DmaFault, type MaybeAsync } from '../devices/contract.js';
import type { Access, DmaSpace, Piece, Translation } from '../iommu/contract.js';
import { andThen } from '../vfs/caller.js';

export class IommuDma implements DmaByPasid {
  /** `space` gives undefined while nothing is attached: all DMA is blocked. Bus mastering is the function's own business. */
  constructor(
    private readonly space: () => DmaSpace | undefined,
    private readonly spaceOf: (pasid: number) => DmaSpace | undefined = () => undefined,
    /** Told of everything that was written. */
    private readonly wrote: (iova: bigint, length: number) => void = () => {},
  ) {}

  withPasid(pasid: number): Dma {
    return new IommuDma(() => this.spaceOf(pasid), undefined, this.wrote);
  }

  read(iova: bigint, length: number): MaybeAsync<Buffer> {
    return andThen(this.resolve(iova, length, 'read'), ({ pieces }) =>
      this.faulting(iova, 'read', () => {
        const first = pieces[0];
        if (first === undefined) return Buffer.alloc(0);
        if (pieces.length === 1) return first.range.read(first.offset, first.length);
        return joined(pieces.map((piece) => piece.range.read(piece.offset, piece.length)));
      }),
    );
  }

  write(iova: bigint, data: Uint8Array): MaybeAsync<void> {
    return andThen(this.resolve(iova, data.length, 'write'), ({ pieces, space }) => {
      const result = this.faulting(iova, 'write', () => {
        const first = pieces[0];
        if (first && pieces.length === 1) return first.range.write(first.offset, data);
        let taken = 0;
        return inTurn(copied(pieces), ({ range, offset, length }) => {
          const part = data.subarray(taken, taken + length);
          taken += length;
          return range.write(offset, part);
        });
      });
      return andThen(result, () => this.dirtied(space, iova, data.length));
    });
  }

  copy(destination: bigint, source: bigint, length: number): MaybeAsync<void> {
    return andThen(this.resolve(source, length, 'read'), ({ pieces }) => {
      // translate() may reuse its pieces for the next call, so those of the source are copied.
      const from = copied(pieces);
      return andThen(this.resolve(destination, length, 'write'), ({ pieces, space }) => {
        const to = copied(pieces);
        const result = this.faulting(destination, 'write', () =>
          inTurn(steps(from, to), ({ source: s, target: t, length: n }) =>
            s.range.copyTo(s.offset, t.range, t.offset, n),
          ),
        );
        return andThen(result, () => this.dirtied(space, destination, length));
      });
    });
  }

  private dirtied(space: DmaSpace, iova: bigint, length: number): void {
    space.dirtied(iova, length);
    this.wrote(iova, length);
  }

  private resolve(iova: bigint, length: number, access: Access): MaybeAsync<Resolved> {
    const space = this.space();
    if (!space) throw new DmaFault(iova, access, 'the device is attached to no address space');
    if (length === 0) return { pieces: [], space };
    return andThen(space.translate(iova, length, access), (translation) =>
      resolved(translation, space, access),
    );
  }

  /** Memory that vanished under a mapping (client gone, pages unmapped) is EFAULT there and a fault to the device. */
  private faulting<T>(iova: bigint, access: Access, body: () => MaybeAsync<T>): MaybeAsync<T> {
    const fail = (error: unknown): never => {
      if (error instanceof KernelError) throw new DmaFault(iova, access, error.reason, { cause: error });
      throw error;
    };
    try {
      const result = body();
      return result instanceof Promise ? result.catch(fail) : result;
    } catch (error) {
      return fail(error);
    }
  }
}

interface Resolved {
  readonly pieces: readonly Piece[];
  readonly space: DmaSpace;
}

function resolved(translation: Translation, space: DmaSpace, access: Access): Resolved {
  if (!translation.ok) throw new DmaFault(translation.iova, access, translation.reason);
  return { pieces: translation.pieces, space };
}

const copied = (pieces: readonly Piece[]): Piece[] =>
  pieces.map(({ range, offset, length }) => ({ range, offset, length }));

interface Step {
  readonly source: { readonly range: Piece['range']; readonly offset: bigint };
  readonly target: { readonly range: Piece['range']; readonly offset: bigint };
  readonly length: number;
}

/** Walks both lists at once: every step stays inside one piece of each. */
function* steps(from: readonly Piece[], to: readonly Piece[]): Generator<Step> {
  let [i, j, inSource, inTarget] = [0, 0, 0, 0];
  for (let s = from[0], t = to[0]; s && t; s = from[i], t = to[j]) {
    const length = Math.min(s.length - inSource, t.length - inTarget);
    yield {
      source: { range: s.range, offset: s.offset + BigInt(inSource) },
      target: { range: t.range, offset: t.offset + BigInt(inTarget) },
      length,
    };
    inSource += length;
    inTarget += length;
    if (inSource === s.length) [i, inSource] = [i + 1, 0];
    if (inTarget === t.length) [j, inTarget] = [j + 1, 0];
  }
}

/** Runs `act` on each item in order, waiting only where it answers with a promise. */
function inTurn<T>(items: Iterable<T>, act: (item: T) => MaybeAsync<void>): MaybeAsync<void> {
  const iterator = items[Symbol.iterator]();
  const next = (): MaybeAsync<void> => {
    for (let item = iterator.next(); !item.done; item = iterator.next()) {
      const result = act(item.value);
      if (result instanceof Promise) return result.then(next);
    }
  };
  return next();
}

function joined(parts: MaybeAsync<Buffer>[]): MaybeAsync<Buffer> {
  if (parts.some((part) => part instanceof Promise))
    return Promise.all(parts).then((all) => Buffer.concat(all));
  return Buffer.concat(parts as Buffer[]);
}
