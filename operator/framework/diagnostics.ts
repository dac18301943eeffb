/**
 * /metrics, as the Cluster API managers serve it: over HTTPS to whoever has the right, by TokenReview and SubjectAccessReview, with the
 * log's level at /debug/flags/v; or, where that was asked for, the metrics alone over plain HTTP to everyone.
 */
import type { FSWatcher } from 'node:fs';
import type http from 'node:http';
import type { Registry } from 'prom-client';
import type { Access } from './reviews.ts';
import { readCertificate, watchCertificate } from './serving-certificate.ts';
import { Endpoint, pathOf, reply } from './serving.ts';
import type { Logger } from './types.ts';

export interface DiagnosticsOptions {
  /** --diagnostics-address. */
  address: string;
  registry: Registry;
  log: Logger;
  /** Not set: --insecure-diagnostics. */
  secure?: Secure;
}

export interface Secure {
  access: Access;
  /** Folder of tls.crt and tls.key; not set: a certificate is made. */
  certificates?: string | undefined;
  /** Sets the verbosity of the log. */
  setVerbosity: (verbosity: number) => void;
}

/** Longest body that is read, in characters. */
const MAX_BODY = 100;

export class DiagnosticsServer {
  readonly #options: DiagnosticsOptions;
  #endpoint: Endpoint | undefined;
  #watcher: FSWatcher | undefined;

  constructor(options: DiagnosticsOptions) {
    this.#options = options;
  }

  /** Where it listens, `host:port`. */
  get address(): string | undefined {
    return this.#endpoint?.address;
  }

  /** Rejects with an Error for people if the address or the certificate cannot be had. */
  async start(): Promise<void> {
    const { address, log, secure } = this.#options;
    if (secure === undefined) {
      this.#endpoint = new Endpoint({ address, log, answer: (request, response) => this.#open(request, response) });
      return this.#endpoint.start();
    }
    const tls = await readCertificate(secure.certificates);
    const endpoint = new Endpoint({ address, log, tls, answer: (request, response) => this.#guarded(secure, request, response) });
    this.#endpoint = endpoint;
    await endpoint.start();
    if (secure.certificates !== undefined)
      this.#watcher = watchCertificate(secure.certificates, log, (renewed) => endpoint.setCertificate(renewed));
  }

  async stop(): Promise<void> {
    this.#watcher?.close();
    await this.#endpoint?.stop();
  }

  async #open(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (pathOf(request) === '/metrics') await this.#metrics(request, response);
    else reply(response, 404, 'not found');
  }

  async #guarded(secure: Secure, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = pathOf(request);
    const token = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    const { user, allowed } = token === undefined ? nobody : await this.#check(secure.access, token, request);
    if (user === undefined) reply(response, 401, 'Unauthorized', { 'WWW-Authenticate': 'Bearer' });
    else if (!allowed) reply(response, 403, `Authorization denied for user ${user.username ?? '?'}`);
    else if (path === '/metrics') await this.#metrics(request, response);
    else if (path === '/debug/flags/v') await this.#setVerbosity(secure, request, response);
    else reply(response, 404, 'not found');
  }

  /** What the API server does not say is nobody's right. */
  #check(access: Access, token: string, request: http.IncomingMessage): ReturnType<Access['check']> {
    return access.check(token, { verb: (request.method ?? '').toLowerCase(), path: pathOf(request) });
  }

  async #metrics(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { registry } = this.#options;
    if (request.method === 'GET') reply(response, 200, await registry.metrics(), { 'Content-Type': registry.contentType });
    else reply(response, 405, 'only GET', { Allow: 'GET' });
  }

  async #setVerbosity({ setVerbosity }: Secure, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (request.method !== 'PUT') {
      reply(response, 405, 'only PUT', { Allow: 'PUT' });
      return;
    }
    const text = await bodyOf(request);
    if (text === undefined || !/^\d{1,3}$/.test(text)) {
      reply(response, 400, 'a whole number is expected, such as 0 or 2');
      return;
    }
    setVerbosity(Number(text));
    this.#options.log.info('the verbosity of the log was set', { verbosity: Number(text) });
    reply(response, 200, `the verbosity is ${text}\n`);
  }
}

const nobody = { user: undefined, allowed: false };

/** Undefined: it is longer than anything that is expected. */
async function bodyOf(request: http.IncomingMessage): Promise<string | undefined> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_BODY) return undefined;
  }
  return text.trim();
}
