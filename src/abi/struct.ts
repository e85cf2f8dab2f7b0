/**
 * The struct kit: a C struct is an object of field codecs, laid out by the C rules of x86-64 (natural alignment, native = little
 * endian). Its TypeScript type is inferred. Field names are the header's in camelCase; `test/abi` compiles a probe that compares
 * every offset and size with the system headers.
 */

export interface Codec<T> {
  readonly size: number;
  readonly align: number;
  read(bytes: Buffer, offset: number): T;
  write(bytes: Buffer, offset: number, value: T): void;
}

function scalar<T>(size: number, read: Codec<T>['read'], write: Codec<T>['write']): Codec<T> {
  return { size, align: size, read, write };
}

export const u8 = scalar<number>(
  1,
  (b, o) => b[o] as number,
  (b, o, v) => void b.writeUInt8(v & 0xff, o),
);
export const u16 = scalar<number>(
  2,
  (b, o) => b.readUInt16LE(o),
  (b, o, v) => void b.writeUInt16LE(v & 0xffff, o),
);
export const u32 = scalar<number>(
  4,
  (b, o) => b.readUInt32LE(o),
  (b, o, v) => void b.writeUInt32LE(v >>> 0, o),
);
export const s32 = scalar<number>(
  4,
  (b, o) => b.readInt32LE(o),
  (b, o, v) => void b.writeInt32LE(v | 0, o),
);
export const u64 = scalar<bigint>(
  8,
  (b, o) => b.readBigUInt64LE(o),
  (b, o, v) => void b.writeBigUInt64LE(BigInt.asUintN(64, v), o),
);

/** `length` raw bytes (u8[n]). */
export function bytes(length: number): Codec<Buffer> {
  return {
    size: length,
    align: 1,
    read: (b, o) => Buffer.from(b.subarray(o, o + length)),
    write: (b, o, v) => void v.copy(b, o, 0, length),
  };
}

export type Fields = Record<string, Codec<never> | Codec<number> | Codec<bigint> | Codec<Buffer>>;
export type ValueOf<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Codec<infer T> ? T : never };
export type StructValue<S> = S extends Struct<infer F> ? ValueOf<F> : never;

export interface Struct<F extends Fields> {
  /** The C tag, as in the header. */
  readonly name: string;
  /** sizeof, in bytes. */
  readonly size: number;
  readonly offsets: { readonly [K in keyof F]: number };
  readonly fields: F;
  /** Decodes from `offset`; bytes past the end of `bytes` read as zero (the kernel's zero-extension of short structs). */
  decode(bytes: Buffer, offset?: number): ValueOf<F>;
  /** A fresh buffer of `size` bytes; padding is zero. */
  encode(value: ValueOf<F>): Buffer;
  encodeInto(bytes: Buffer, offset: number, value: ValueOf<F>): void;
}

/** Lays `fields` out as C would. `options.size` asserts sizeof (and adds no padding by itself). */
export function struct<F extends Fields>(name: string, fields: F, options?: { size?: number }): Struct<F> {
  const rows: { key: keyof F & string; codec: Codec<unknown>; offset: number }[] = [];
  let end = 0;
  let align = 1;
  for (const [key, codec] of Object.entries(fields)) {
    const offset = Math.ceil(end / codec.align) * codec.align;
    rows.push({ key, codec: codec as Codec<unknown>, offset });
    end = offset + codec.size;
    align = Math.max(align, codec.align);
  }
  const size = Math.ceil(end / align) * align;
  if (options?.size !== undefined && options.size !== size)
    throw new Error(`struct ${name}: laid out ${size} bytes, expected ${options.size}`);
  const encodeInto = (target: Buffer, base: number, value: ValueOf<F>): void => {
    for (const { key, codec, offset } of rows) codec.write(target, base + offset, value[key]);
  };
  return {
    name,
    size,
    fields,
    offsets: Object.fromEntries(rows.map((row) => [row.key, row.offset])) as { [K in keyof F]: number },
    decode(source, base = 0) {
      let from = source;
      let start = base;
      if (source.length - base < size) {
        from = Buffer.alloc(size);
        source.copy(from, 0, base);
        start = 0;
      }
      const value: Record<string, unknown> = {};
      for (const { key, codec, offset } of rows) value[key] = codec.read(from, start + offset);
      return value as ValueOf<F>;
    },
    encode(value) {
      const target = Buffer.alloc(size);
      encodeInto(target, 0, value);
      return target;
    },
    encodeInto,
  };
}
