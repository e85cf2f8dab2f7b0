/**
 * The line to the supervisor of a command (vfiofs-supervise). It says when it begins and when it ends in order; when the line breaks between, it was
 * killed, and the calls it answered fail from then on (ENOSYS): the command and all that came of it are ended rather than left in such a world.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import type { Readable } from 'node:stream';

/** What it says; kServing and kOver of src/native/supervision.h. */
const SERVING = 'serving\n';
const OVER = 'over\n';

/** The mount namespace of a process, as /proc names it; undefined when it is gone. */
export function namespaceOf(pid: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** Ends every process in the mount namespace of `pid`, which nobody shares but its children. */
function killView(pid: number): void {
  const view = namespaceOf(pid);
  if (view === undefined || view === namespaceOf('self')) return;
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || namespaceOf(name) !== view) continue;
    try {
      process.kill(Number(name), 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // gone meanwhile: what was wanted
    }
  }
}

/**
 * What the supervisor says on `line` when it can't go on is printed. `pid`: the command. Returns what ends the watch: it
 * would keep this process for as long as any child of the command lives.
 */
export function watchSupervisor(line: Readable, pid: number): () => void {
  let said = '';
  line.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  // A line broken by a killed peer may end with an error; that it ended is what counts.
  line.on('error', () => undefined);
  const broken = () => {
    // Nothing at all: the launcher ended before there was one.
    if (said === '' || said === OVER || said === SERVING + OVER) return;
    const why = said.replace(SERVING, '').trim();
    console.error(`vfiofs: the supervisor of the command ended${why && `: ${why}`}; so does the command`);
    killView(pid);
  };
  line.once('close', broken);
  return () => {
    line.off('close', broken);
    line.destroy();
  };
}
