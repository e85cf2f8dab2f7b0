/** What a test run left behind: processes that carry its marker, mounts they made. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Processes that end by themselves a moment after their parent are not left behind. */
const grace = 3000;

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process is gone
  }
}

function mounts() {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter(Boolean)
    .map((line) => ({
      id: line.split(' ')[0],
      directory: line.split(' ')[4],
      source: line.split(' - ')[1].split(' ')[1],
    }));
}

export class Leftovers {
  before = new Set(mounts().map((mount) => mount.id));

  constructor(marker, temporary) {
    this.entry = `VFIOFS_RUN=${marker}`;
    this.temporary = temporary;
  }

  processes() {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(this.entry))
      .map((pid) => ({
        pid: Number(pid),
        command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim(),
      }));
  }

  /** New mounts of ours: below the run's folder, or served by one of its processes or by one that is dead. */
  mounts(processes) {
    return mounts().filter(({ id, directory, source }) => {
      if (this.before.has(id)) return false;
      if (directory.startsWith(`${this.temporary}/`)) return true;
      const pid = Number(/^vfiofs:(\d+)/.exec(source)?.[1]);
      return pid > 0 && (processes.some((row) => row.pid === pid) || !read(`/proc/${pid}/stat`));
    });
  }

  /** One line for each; empty when all is clean. */
  async find() {
    const deadline = Date.now() + grace;
    for (;;) {
      const processes = this.processes();
      const left = this.mounts(processes);
      if (processes.length + left.length === 0 || Date.now() > deadline)
        return [
          ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
          ...left.map(({ directory, source }) => `mount ${directory} (${source})`),
        ];
      await sleep(50);
    }
  }

  async remove() {
    const processes = this.processes();
    for (const { directory } of this.mounts(processes).reverse()) execFileSync('umount', ['-l', directory]);
    for (const { pid } of processes) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended by itself
      }
    }
  }
}
