/**
 * A machine served by the test process itself, so that a test can count what is held. The test must not touch the mount: this very
 * thread serves it. Clients do, as child processes.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { models } from '../../src/devices/index.js';
import type { HostDescription } from '../../src/host/description.js';
import { createMachine, type Machine } from '../../src/machine.js';
import { native } from '../../src/native/index.js';
import { serve } from '../../src/run/serve.js';
import { loadPreset } from '../../src/topology/index.js';

export interface MountedMachine {
  readonly directory: string;
  readonly machine: Machine;
  /** Nodes that the kernel holds a reference on. */
  nodes(): number;
  requests(): { received: number; answered: number };
  /** Everything that must be as before when clients are gone: descriptors of this process, the addon's objects, the machine's. */
  counts(): Record<string, number>;
  stop(): Promise<void>;
}

export async function mountMachine(description?: HostDescription): Promise<MountedMachine> {
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-machine-'));
  const machine = createMachine(description ?? loadPreset('default', models));
  const served = await serve(machine, directory, 'fuse');
  return {
    directory,
    machine,
    nodes: () => served.nodes()!,
    requests: () => served.requests()!,
    counts: () => ({
      ...native().counts(),
      ...machine.counts(),
      descriptors: readdirSync('/proc/self/fd').length,
    }),
    async stop() {
      // Those of a test that failed half-way.
      for (const { process } of running) process.kill('SIGKILL');
      await Promise.all([...running].map(({ ended }) => ended));
      await served.stop();
      machine.destroy();
      rmdirSync(directory);
    },
  };
}

/**
 * What the daemon holds with no client there. Some things are made for a function's first client and stay: its BARs' memory, its
 * doorbell watcher. Waits until the last one is gone for good: descriptors are closed on other threads.
 */
export async function idleCounts(machine: MountedMachine): Promise<Record<string, number>> {
  const gone = {
    ...{ backings: 0, containers: 0, deviceFiles: 0, eventfds: 0, grafts: 0, groups: 0, pins: 0 },
    processes: 0,
    same: true,
  };
  let before = machine.counts();
  return vi.waitFor(
    () => {
      const now = machine.counts();
      const same = JSON.stringify(now) === JSON.stringify(before);
      before = now;
      expect({ ...now, same }).toMatchObject(gone);
      return now;
    },
    { timeout: 20_000, interval: 100 },
  );
}

/** Waits until the daemon holds again what it held before: much is let go on other threads. */
export async function comesBackTo(machine: MountedMachine, idle: Record<string, number>): Promise<void> {
  await vi.waitFor(() => expect(machine.counts()).toEqual(idle), { timeout: 20_000, interval: 50 });
}

export interface Client {
  readonly process: ChildProcessWithoutNullStreams;
  /** Resolves when it has printed `ready`; rejects with its output when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended and its pipes are closed. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; output: string }>;
}

/** Clients that have not ended. */
const running = new Set<Client>();

export function startClient(program: string, args: readonly string[]): Client {
  const child = spawn(program, args, { stdio: 'pipe' });
  let output = '';
  const ended: Client['ended'] = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, output }));
  });
  const ready = new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => {
        output += text;
        if (/^ready$/m.test(output)) resolve();
      });
    ended.then(() => reject(new Error(`${program} ended before it was ready:\n${output}`)), reject);
  });
  ready.catch(() => undefined); // who does not wait for it looks at how it ended
  const client: Client = { process: child, ready, ended };
  running.add(client);
  const forget = () => void running.delete(client);
  ended.then(forget, forget);
  return client;
}
