/** JSON-RPC 2.0, one message per line: what a line asks for, and what is answered. */
import { Errno, KernelError } from '../abi/errno.js';

export type Id = string | number | null;

export interface Request {
  /** undefined: a notification, which is never answered. */
  readonly id: Id | undefined;
  readonly method: string;
  readonly params: unknown;
}

/** Codes of JSON-RPC itself; a refusal of the machine has the (positive) errno as its code. */
export const Code = {
  parse: -32700,
  request: -32600,
  method: -32601,
  params: -32602,
  internal: -32603,
} as const;

/** What a client did wrong before any method ran. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  constructor(
    readonly code: (typeof Code)[keyof typeof Code],
    message: string,
    readonly id: Id = null,
  ) {
    super(message);
  }
}

export interface ErrorObject {
  readonly code: number;
  readonly message: string;
  /** `errno`: its name. */
  readonly data?: { readonly errno: string; readonly reason: string };
}

const isId = (value: unknown): value is Id =>
  value === null || typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));

export function parseRequest(line: string): Request {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch (error) {
    throw new ProtocolError(Code.parse, `not JSON: ${(error as Error).message}`);
  }
  if (Array.isArray(message)) throw new ProtocolError(Code.request, 'no batches: send one request per line');
  if (typeof message !== 'object' || message === null)
    throw new ProtocolError(Code.request, 'expected an object');
  const { jsonrpc, id, method, params } = message as Record<string, unknown>;
  const known = id !== undefined && isId(id) ? id : null;
  if (jsonrpc !== '2.0') throw new ProtocolError(Code.request, 'jsonrpc: expected "2.0"', known);
  if (id !== undefined && !isId(id))
    throw new ProtocolError(Code.request, 'id: expected a string, a number or null');
  if (typeof method !== 'string') throw new ProtocolError(Code.request, 'method: expected a string', known);
  return { id: id as Id | undefined, method, params: params ?? {} };
}

/** Anything that is neither a refusal nor the client's mistake is a bug of ours. */
export function toErrorObject(error: unknown): ErrorObject {
  if (error instanceof KernelError) {
    const { code, reason } = error;
    return { code: Errno[code], message: `${code}: ${reason}`, data: { errno: code, reason } };
  }
  if (error instanceof ProtocolError) return { code: error.code, message: error.message };
  return { code: Code.internal, message: 'internal error: see the standard error of the host' };
}

/** Without the newline. */
export function encode(message: object): string {
  return JSON.stringify({ jsonrpc: '2.0', ...message });
}
