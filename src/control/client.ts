/** The other side of the control socket: for `vfiofs ctl`, and for Node programs. */
import { connect, type Socket } from 'node:net';
import type { Uevent } from '../machine.js';
import { type ErrorObject, encode } from './protocol.js';

/** The host's refusal. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  constructor(readonly object: ErrorObject) {
    super(object.message);
  }
}

interface Message {
  readonly id?: number | null;
  readonly result?: unknown;
  readonly error?: ErrorObject;
  readonly method?: string;
  readonly params?: unknown;
}

export class ControlClient {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  private readonly pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private readonly listeners = new Set<(event: Uevent) => void>();
  private nextId = 1;
  private text = '';

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('utf8').on('data', (text) => this.arrived(String(text)));
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.pending.values())
          reject(new Error('the host has closed the control socket'));
        this.pending.clear();
        resolve();
      });
    });
    socket.on('error', () => undefined); // `close` follows
  }

  static open(path: string): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new ControlClient(socket));
      });
    });
  }

  /** Resolves to the method's result; rejects with ControlError. */
  call(method: string, params: object = {}): Promise<unknown> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(new Error('the host has closed the control socket'));
      this.pending.set(id, { resolve, reject });
      this.socket.write(`${encode({ id, method, params })}\n`);
    });
  }

  /** `listener` is told every uevent from now on. */
  async events(listener: (event: Uevent) => void): Promise<void> {
    this.listeners.add(listener);
    await this.call('events.subscribe');
  }

  close(): void {
    this.socket.destroy();
  }

  private arrived(text: string): void {
    const lines = (this.text + text).split('\n');
    this.text = lines.pop()!;
    for (const line of lines) this.received(JSON.parse(line) as Message);
  }

  private received({ id, method, result, error, params }: Message): void {
    if (method === 'event') for (const listener of this.listeners) listener(params as Uevent);
    const waiter = typeof id === 'number' ? this.pending.get(id) : undefined;
    if (!waiter) return;
    this.pending.delete(id as number);
    if (error) waiter.reject(new ControlError(error));
    else waiter.resolve(result);
  }
}
