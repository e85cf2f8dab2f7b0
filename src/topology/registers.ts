/** Configuration space as text: the rows that `lspci -x`, `-xxx` and `-xxxx` print, alone or in what else those print of a function. */

export interface Registers {
  /** 64, 256 or 4096 bytes; what no row has is zero. */
  readonly bytes: Uint8Array;
  /** What is no row and nothing that lspci prints, by line from 1. */
  readonly problems: readonly { readonly line: number; readonly message: string }[];
}

const row = /^([0-9a-f]{2,3}):((?: [0-9a-f]{2}){1,16})$/i;
/** Empty lines, comments, the line that names the function, and the indented ones of -v. */
const other = /^(?:#.*|[0-9a-f:]*[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] .*|\s.*|)$/i;

export function parseRegisters(text: string): Registers {
  const problems: { line: number; message: string }[] = [];
  const whole = Buffer.alloc(4096);
  const seen = new Set<number>();
  let end = 0;
  text.split('\n').forEach((raw, i) => {
    const line = i + 1;
    const note = (message: string) => void problems.push({ line, message });
    const match = row.exec(raw.trim());
    if (!match) {
      if (!other.test(raw.trimEnd()))
        note(`"${raw.trim()}": expected a row of up to 16 bytes, like "00: 86 80 d3 10"`);
      return;
    }
    const offset = Number.parseInt(match[1]!, 16);
    const bytes = Buffer.from(match[2]!.replaceAll(' ', ''), 'hex');
    if (offset % 16 !== 0) note(`${match[1]}: expected rows at multiples of 16`);
    else if (seen.has(offset))
      note(`${match[1]}: a second row there: expected the registers of one function`);
    seen.add(offset);
    bytes.copy(whole, offset);
    end = Math.max(end, offset + 16);
  });
  if (end === 0) problems.push({ line: 1, message: 'no rows like "00: 86 80 d3 10": expected some' });
  const size = end > 256 ? 4096 : end > 64 ? 256 : 64;
  return { bytes: new Uint8Array(whole.subarray(0, size)), problems };
}
