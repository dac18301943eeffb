/** HTTPS requests to an API server, with the client certificate of a kubeconfig. */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';

/** An answer other than success. */
export class RequestError extends Error {
  readonly status: number;
  readonly reason: string;
  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = 'RequestError';
    this.status = status;
    this.reason = reason;
  }
}

export interface Call {
  method: string;
  /** Path with query. */
  path: string;
  body?: unknown;
  contentType?: string;
  signal?: AbortSignal;
}

interface Kubeconfig {
  clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }];
  users: [{ user: { 'client-certificate-data': string; 'client-key-data': string } }];
}

export class Rest {
  readonly #url: string;
  readonly #agent: Agent;

  /** Milliseconds for which a call is made again while the API server is away. For calls that do no harm when made twice. */
  patience = 0;

  private constructor(url: string, agent: Agent) {
    this.#url = url;
    this.#agent = agent;
  }

  /** For the first cluster and user of a kubeconfig file, with embedded certificates, as the environment writes it. */
  static async connect(kubeconfig: string): Promise<Rest> {
    const { clusters, users } = parse(await readFile(kubeconfig, 'utf8')) as Kubeconfig;
    const { cluster } = clusters[0];
    const { user } = users[0];
    const decode = (base64: string) => Buffer.from(base64, 'base64');
    const ca = decode(cluster['certificate-authority-data']);
    const [cert, key] = [decode(user['client-certificate-data']), decode(user['client-key-data'])];
    return new Rest(cluster.server, new Agent({ keepAlive: true, maxSockets: 200, ca, cert, key }));
  }

  /** The answer's JSON. */
  async call<T>(call: Call): Promise<T> {
    const end = performance.now() + this.patience;
    for (;;) {
      try {
        const response = await this.#send(call);
        return JSON.parse(await text(response)) as T;
      } catch (error) {
        const away = !(error instanceof RequestError) || error.status >= 500 || error.status === 429;
        if (!away || performance.now() > end || call.signal?.aborted) throw error;
        await sleep(100);
      }
    }
  }

  /** The answer as it is, such as metrics. */
  async text(path: string): Promise<string> {
    return text(await this.#send({ method: 'GET', path }));
  }

  /** Lines of JSON until the server or `signal` ends them. */
  async *stream<T>(call: Call): AsyncGenerator<T> {
    const response = await this.#send(call);
    let rest = '';
    // UTF-8 that is split between chunks is put together by the stream itself.
    for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield JSON.parse(line) as T;
    }
  }

  /** Ends idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  async #send({ method, path, body, contentType = 'application/json', signal }: Call): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = payload === undefined ? {} : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(payload) };
      const sent = request(`${this.#url}${path}`, { method, headers, agent: this.#agent, ...(signal && { signal }) }, resolve);
      sent.on('error', reject).end(payload);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const answer = await text(response);
    throw new RequestError(status, reasonOf(answer), `${method} ${path}: ${status} ${messageOf(answer)}`);
  }
}

async function text(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Fields of meta/v1 Status, where the answer is one. */
function statusOf(answer: string): { reason?: string; message?: string } {
  try {
    return JSON.parse(answer) as { reason?: string; message?: string };
  } catch {
    return {};
  }
}
const reasonOf = (answer: string): string => statusOf(answer).reason ?? '';
const messageOf = (answer: string): string => statusOf(answer).message ?? answer.slice(0, 500);
