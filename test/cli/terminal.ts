/** A terminal as somebody sits at it, driven through tmux: a server of this test's own, nobody's settings, nobody's sessions. */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

let terminals = 0;

export class Terminal {
  private readonly server = `vfiofs-${process.pid}-${terminals++}`;

  /** Runs a shell command in a terminal of 40 lines; what it leaves on the screen stays there. */
  constructor(command: string, width = 110) {
    this.tmux('new-session', '-d', '-x', `${width}`, '-y', '40', command);
  }

  private tmux(...args: string[]): string {
    return execFileSync('tmux', ['-L', this.server, '-f', '/dev/null', ...args], { encoding: 'utf8' });
  }

  screen(): string {
    return this.tmux('capture-pane', '-p', '-S', '-100');
  }

  type(text: string): void {
    this.tmux('send-keys', '-l', text);
    this.press('Enter');
  }

  /** A key, as tmux names it: `C-c`. */
  press(key: string): void {
    this.tmux('send-keys', key);
  }

  resize(width: number): void {
    this.tmux('resize-window', '-x', `${width}`);
  }

  /** Resolves when the screen matches, to what does. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    for (const end = Date.now() + 12_000; ; await sleep(50)) {
      const text = this.screen();
      const found = pattern.exec(text);
      if (found) return found;
      if (Date.now() > end) throw new Error(`no ${pattern} on the screen:\n${text}`);
    }
  }

  /** Closes the window: its processes are sent SIGHUP. */
  close(): void {
    this.tmux('kill-server');
  }
}
