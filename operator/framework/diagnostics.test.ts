import https from 'node:https';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { DiagnosticsServer, type Secure } from './diagnostics.ts';
import { createMetrics } from './metrics.ts';
import type { Wanted } from './reviews.ts';
import { selfSigned } from './self-signed.ts';
import { MemoryLogger } from './testing/log.ts';

const { registry } = createMetrics();
let log: MemoryLogger;
let server: DiagnosticsServer;
let verbosity: number | undefined;
let asked: Wanted[];
beforeEach(() => {
  log = new MemoryLogger();
  verbosity = undefined;
  asked = [];
});
afterEach(() => server.stop());

/** Knows tokens by name: `may` has every right, `may-not` none. */
const access: Secure['access'] = {
  check: (token, wanted) => {
    asked.push(wanted);
    if (token === 'fails') return Promise.reject(new Error('the API server is away'));
    const user = ['may', 'may-not'].includes(token) ? { username: token } : undefined;
    return Promise.resolve({ user, allowed: token === 'may' });
  },
};
async function start(secure?: Partial<Secure>): Promise<void> {
  const setVerbosity = (value: number): void => void (verbosity = value);
  server = new DiagnosticsServer({
    address: '127.0.0.1:0',
    registry,
    log,
    ...(secure !== undefined && { secure: { access, setVerbosity, ...secure } }),
  });
  await server.start();
}

interface Asked {
  method?: string;
  authorization?: string;
  body?: string;
}
function ask(at: string, { method = 'GET', authorization, body }: Asked = {}): Promise<{ status: number; body: string; type: string }> {
  return new Promise((resolve, reject) => {
    const headers = authorization === undefined ? {} : { authorization };
    const request = https.request(`https://${server.address!}${at}`, { method, headers, rejectUnauthorized: false, agent: false });
    request.on('error', reject).on('response', (response) => {
      const { statusCode: status = 0, headers: answered } = response;
      void text(response).then((said) => resolve({ status, body: said, type: answered['content-type'] ?? '' }));
    });
    request.end(body);
  });
}
const may = { authorization: 'Bearer may' };

test('over HTTPS the metrics are for whoever has the right, and only for them', async () => {
  await start({});
  expect(await ask('/metrics')).toMatchObject({ status: 401, body: 'Unauthorized' });
  expect(await ask('/metrics', { authorization: 'Basic may' })).toMatchObject({ status: 401 });
  expect(asked).toEqual([]);
  expect(await ask('/metrics', { authorization: 'Bearer made-up' })).toMatchObject({ status: 401 });
  expect(await ask('/metrics', { authorization: 'Bearer may-not' })).toMatchObject({
    status: 403,
    body: 'Authorization denied for user may-not',
  });
  expect(await ask('/metrics?x=y', may)).toMatchObject({
    status: 200,
    type: registry.contentType,
    body: expect.stringContaining('process_cpu_user_seconds_total') as string,
  });
  expect(asked.at(-1)).toEqual({ verb: 'get', path: '/metrics' });
  expect(await ask('/other')).toMatchObject({ status: 401 });
  expect(await ask('/other', may)).toMatchObject({ status: 404 });
});

test('where nobody says who asks, nobody is let in', async () => {
  await start({});
  expect(await ask('/metrics', { authorization: 'Bearer fails' })).toMatchObject({ status: 500, body: 'internal error' });
  expect(log.at('error')).toEqual(['a request for health or diagnostics failed']);
});

test('plain HTTP is not spoken there', async () => {
  await start({});
  await expect(fetch(`http://${server.address!}/metrics`, { headers: may })).rejects.toThrow();
});

test('the verbosity of the log is set by a PUT', async () => {
  await start({});
  const put = (body: string, authorization = 'Bearer may') => ask('/debug/flags/v', { method: 'PUT', body, authorization });
  expect(await put('2')).toMatchObject({ status: 200, body: 'the verbosity is 2\n' });
  expect(asked.at(-1)).toEqual({ verb: 'put', path: '/debug/flags/v' });
  expect(verbosity).toBe(2);
  expect(await put('0\n')).toMatchObject({ status: 200 });
  expect(verbosity).toBe(0);
  for (const wrong of ['', 'debug', '-1', '1.5', '9999', '1'.repeat(10_000)]) expect(await put(wrong)).toMatchObject({ status: 400 });
  expect(await put('3', 'Bearer may-not')).toMatchObject({ status: 403 });
  expect(await ask('/debug/flags/v', may)).toMatchObject({ status: 405 });
  expect(await ask('/metrics', { ...may, method: 'PUT' })).toMatchObject({ status: 405 });
  expect(verbosity).toBe(0);
});

test('without TLS there are the metrics and nothing else', async () => {
  await start();
  const get = async (at: string, options = {}) => (await fetch(`http://${server.address!}${at}`, options)).status;
  expect(await get('/metrics')).toBe(200);
  expect(await get('/debug/flags/v', { method: 'PUT', body: '2' })).toBe(404);
  expect(verbosity).toBeUndefined();
});

describe('with a certificate of its own', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'diagnostics-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const write = ({ cert, key }: { cert: string; key: string }): void => {
    writeFileSync(path.join(folder, 'tls.key'), key);
    writeFileSync(path.join(folder, 'tls.crt'), cert);
  };
  /** Common name of the certificate that is presented. */
  const presented = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const [host = '', port = ''] = server.address!.split(':');
      const socket = connect({ host, port: Number(port), rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });

  test('it is presented, and so is the next one that is put there', async () => {
    write(selfSigned(['first']));
    await start({ certificates: folder });
    expect(await presented()).toBe('first');
    write(selfSigned(['second']));
    while ((await presented()) !== 'second') await new Promise(setImmediate);
  });

  test('one that is not whole changes nothing', async () => {
    const first = selfSigned(['first']);
    write(first);
    await start({ certificates: folder });
    write({ ...first, key: selfSigned(['other']).key });
    while (!log.at('warn').includes('the certificate for diagnostics stays as it was')) await new Promise(setImmediate);
    expect(await presented()).toBe('first');
  });

  test('without it the manager does not start, and says why', async () => {
    await expect(start({ certificates: folder })).rejects.toThrow(`no certificate can be had from ${folder}: ENOENT`);
  });
});
