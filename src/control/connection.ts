/**
 * One client of the control socket. It is not trusted with our memory: a line has a longest length, answers that it does not read pile
 * up only so far, and so do requests that wait (a removal may wait for ever); then it is cut off, or not read from.
 */
import type { Socket } from 'node:net';
import type { Machine } from '../machine.js';
import type { Views } from '../run/views.js';
import { call } from './methods.js';
import {
  Code,
  encode,
  type Id,
  ProtocolError,
  parseRequest,
  type Request,
  toErrorObject,
} from './protocol.js';

export interface Limits {
  /** Bytes of a request, without its newline. */
  readonly line: number;
  /** Bytes of answers and events not yet read by the client, beyond which it is disconnected. */
  readonly queue: number;
  /** Requests that have not been answered; the next one is not read. */
  readonly waiting: number;
}

export const defaultLimits: Limits = { line: 1 << 20, queue: 8 << 20, waiting: 16 };

export class Connection {
  /** Bytes that came since the last newline, as they came. */
  private pieces: Buffer[] = [];
  private length = 0;
  /** Whole lines that wait for their turn. */
  private rest: Buffer | undefined;
  private waiting = 0;
  private ended = false;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly machine: Machine,
    /** Asker.views. */
    readonly views: Views,
    private readonly socket: Socket,
    private readonly limits: Limits = defaultLimits,
  ) {
    socket.on('data', (bytes) => this.arrived(bytes as Buffer));
    // Whatever went wrong with a client's connection, it is the client's: `close` follows.
    socket.on('error', () => undefined);
    // Who has sent all it wants to (`printf … | socat`) still gets its answers.
    socket.on('end', () => {
      this.ended = true;
      this.resume();
    });
    socket.on('close', () => this.unsubscribe?.());
  }

  close(): void {
    this.socket.destroy();
  }

  private arrived(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0 && !this.socket.destroyed; end = bytes.indexOf(10, start)) {
      if (this.waiting >= this.limits.waiting) break;
      this.keep(bytes.subarray(start, end));
      start = end + 1;
      if (this.tooLong()) return;
      const line = Buffer.concat(this.pieces).toString('utf8');
      this.pieces = [];
      this.length = 0;
      if (line.trim() !== '') this.serve(line);
    }
    if (this.socket.destroyed) return;
    const left = bytes.subarray(start);
    if (this.waiting >= this.limits.waiting) {
      // At most what one read of the socket gave: nothing more is read until somebody is answered.
      this.rest = left.length > 0 ? left : undefined;
      this.socket.pause();
      return;
    }
    this.keep(left);
    this.tooLong();
  }

  private keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.pieces.push(bytes);
    this.length += bytes.length;
  }

  private tooLong(): boolean {
    if (this.length <= this.limits.line) return false;
    this.send({
      id: null,
      error: toErrorObject(new ProtocolError(Code.request, `a line of more than ${this.limits.line} bytes`)),
    });
    this.pieces = [];
    this.socket.pause();
    this.socket.end(() => this.socket.destroy());
    return true;
  }

  private serve(line: string): void {
    let request: Request;
    try {
      request = parseRequest(line);
    } catch (error) {
      this.fail(error instanceof ProtocolError ? error.id : null, error);
      return;
    }
    const { id, method, params } = request;
    try {
      const result = call(this.machine, method, params, this);
      if (result instanceof Promise) this.later(id, result);
      else this.answer(id, result);
    } catch (error) {
      this.fail(id, error);
    }
  }

  private later(id: Id | undefined, pending: Promise<unknown>): void {
    this.waiting++;
    pending
      .then(
        (result) => this.answer(id, result),
        (error) => this.fail(id, error),
      )
      .finally(() => {
        this.waiting--;
        this.resume();
      });
  }

  private resume(): void {
    if (this.ended && this.waiting === 0) this.socket.end();
    if (this.socket.destroyed || this.waiting >= this.limits.waiting || !this.socket.isPaused()) return;
    const { rest } = this;
    this.rest = undefined;
    this.socket.resume();
    if (rest) this.arrived(rest);
  }

  private answer(id: Id | undefined, result: unknown): void {
    if (id !== undefined) this.send({ id, result });
  }

  private fail(id: Id | undefined, error: unknown): void {
    const object = toErrorObject(error);
    if (object.code === Code.internal) console.error('vfiofs: internal error on the control socket:', error);
    if (id !== undefined) this.send({ id, error: object });
  }

  /** Asker.subscribe(). */
  subscribe(): void {
    this.unsubscribe ??= this.machine.uevents.subscribe((event) =>
      this.send({ method: 'event', params: event }),
    );
  }

  private send(message: object): void {
    if (this.socket.destroyed || this.socket.writableEnded) return;
    // One answer may be long; it is those that nobody reads that must not pile up.
    if (this.socket.writableLength > this.limits.queue) this.socket.destroy();
    else this.socket.write(`${encode(message)}\n`);
  }
}
