/** One HTTP exchange with the API server over a kept-alive connection; what it means is client.ts's concern. */
import http from 'node:http';
import https from 'node:https';
import { ApiError } from './types.ts';

/** What a connection to the API server is made with. `headers` holds Authorization; certificates and keys are PEM. */
export interface Credentials {
  headers: Record<string, string>;
  ca?: string | Buffer;
  cert?: string | Buffer;
  key?: string | Buffer;
  servername?: string;
  rejectUnauthorized?: boolean;
  /** In place of the transport's own, where there is a proxy. */
  agent?: http.Agent;
}

export interface ServerAccess {
  /** Base URL, https or http, possibly with a path. */
  server: string;
  /** Called for every request, so that rotated tokens and certificates are used; quick while nothing changed. */
  credentials(): Promise<Credentials>;
}

export interface Exchange {
  method: string;
  /** Path and query below the server's base URL. */
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
  /** Milliseconds until the headers of the answer. */
  timeout: number;
  signal?: AbortSignal | undefined;
}

/** Sockets and idle connections are shared by all requests; connections are made anew when certificates were rotated. */
export class Transport {
  readonly #access: ServerAccess;
  readonly #base: URL;
  #agent: { of: string; agent: http.Agent } | undefined;

  constructor(access: ServerAccess) {
    this.#access = access;
    this.#base = new URL(access.server);
  }

  /**
   * Resolves with the answer's headers; the body is still to come. Rejects with the signal's reason when aborted, else with an
   * ApiError of status 0. A kept-alive connection that the server had closed in the meantime is replaced once for an idempotent request.
   */
  async send(exchange: Exchange): Promise<http.IncomingMessage> {
    exchange.signal?.throwIfAborted();
    const credentials = await this.#access.credentials();
    const idempotent = exchange.method !== 'POST' && exchange.method !== 'PATCH';
    try {
      return await this.#once(exchange, credentials);
    } catch (error) {
      if (!idempotent || !(error instanceof StaleConnection)) throw error;
      // Where one idle connection was dead the others likely are.
      closeIdle(this.#agentFor(credentials));
      return this.#once(exchange, credentials);
    }
  }

  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = undefined;
  }

  #once(exchange: Exchange, credentials: Credentials): Promise<http.IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const secure = this.#base.protocol === 'https:';
    const request = (secure ? https : http).request({
      protocol: this.#base.protocol,
      hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
      port: this.#base.port,
      path: this.#base.pathname.replace(/\/$/, '') + exchange.path,
      method: exchange.method,
      headers: { ...exchange.headers, ...credentials.headers },
      agent: this.#agentFor(credentials),
    });
    const where = `${exchange.method} ${exchange.path.replace(/\?.*/, '')}`;
    const timer = setTimeout(() => {
      request.destroy(new ApiError(0, 'Timeout', `${where}: no answer from ${this.#base.host} within ${exchange.timeout / 1000} s`));
    }, exchange.timeout);
    const abort = (): void => void request.destroy(new Aborted());
    exchange.signal?.addEventListener('abort', abort, { once: true });
    request.on('close', () => exchange.signal?.removeEventListener('abort', abort));
    request.on('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (exchange.signal?.aborted === true) reject(exchange.signal.reason as Error);
      else if (error instanceof ApiError) reject(error);
      else reject(connectionError(where, this.#base.host, error, request.reusedSocket));
    });
    request.end(exchange.body);
    return promise;
  }

  #agentFor(credentials: Credentials): http.Agent {
    const secure = this.#base.protocol === 'https:';
    if (credentials.agent !== undefined) return credentials.agent;
    const { ca, cert, key, servername, rejectUnauthorized } = credentials;
    const of = secure ? JSON.stringify([String(ca), String(cert), String(key), servername, rejectUnauthorized]) : '';
    if (this.#agent?.of !== of) {
      if (this.#agent !== undefined) retire(this.#agent.agent);
      const options = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 16, scheduling: 'lifo' } as const;
      const tls = { ca, cert, key, servername, rejectUnauthorized: rejectUnauthorized ?? true };
      this.#agent = { of, agent: secure ? new https.Agent({ ...options, ...withoutUndefined(tls) }) : new http.Agent(options) };
    }
    return this.#agent.agent;
  }
}

const closeIdle = (agent: http.Agent): void => {
  for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
};

/** Requests and watches on its connections go on, but no connection is used again. */
const retire = (agent: http.Agent): void => {
  agent.maxFreeSockets = 0;
  closeIdle(agent);
};

/** The connection had been idle and was dead: nothing was answered. */
class StaleConnection extends ApiError {}
class Aborted extends Error {}

function connectionError(where: string, host: string, cause: NodeJS.ErrnoException, reused: boolean): ApiError {
  const reason = cause.code ?? 'ConnectionFailed';
  const message = `${where}: no answer from the API server at ${host}: ${cause.message}`;
  if (reused && (reason === 'ECONNRESET' || reason === 'EPIPE')) return new StaleConnection(0, reason, message, undefined, cause);
  return new ApiError(0, reason, message, undefined, cause);
}

const withoutUndefined = <T extends object>(object: T): Partial<T> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;

/** The whole body. `limit` milliseconds without a byte are an error, as is a connection cut before the end. */
export async function readBody(response: http.IncomingMessage, where: string, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of withIdleLimit(response, limit)) chunks.push(chunk);
  } catch (error) {
    throw bodyError(where, error);
  }
  return Buffer.concat(chunks).toString();
}

/** The lines of a body as they come; ends with the body. */
export async function* readLines(response: http.IncomingMessage, where: string, limit: number): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of withIdleLimit(response, limit)) {
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        yield Buffer.concat([...rest, chunk.subarray(start, end)]).toString();
        rest = [];
        start = end + 1;
      }
      if (start < chunk.length) rest.push(chunk.subarray(start));
    }
  } catch (error) {
    throw bodyError(where, error);
  } finally {
    response.destroy();
  }
}

async function* withIdleLimit(response: http.IncomingMessage, limit: number): AsyncGenerator<Buffer> {
  const timer = setTimeout(() => response.destroy(new ApiError(0, 'Timeout', `nothing came for ${limit / 1000} s`)), limit);
  try {
    for await (const chunk of response) {
      timer.refresh();
      yield chunk as Buffer;
    }
  } finally {
    clearTimeout(timer);
  }
}

function bodyError(where: string, error: unknown): ApiError {
  const cause = error as NodeJS.ErrnoException;
  const reason = cause instanceof ApiError ? cause.reason : (cause.code ?? 'ConnectionFailed');
  return new ApiError(0, reason, `${where}: the answer broke off: ${cause.message}`, undefined, cause);
}
