/** Metrics and the level of the log, as in production: over HTTPS, by accounts of the cluster with and without the right. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { Operator } from '../env/operator.ts';
import { askDiagnostics, forgetReaders, reader, roleFor } from '../fixtures/diagnostics.ts';
import { Objects } from '../fixtures/objects.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const environment = sharedEnvironment('diagnostics');
let objects: Objects;
let operator: Operator;
let certificates: string;

beforeAll(async () => {
  const { namespace, startOperator, controlPlane } = environment();
  objects = new Objects(namespace);
  certificates = join(controlPlane.folder, `certificates-${namespace}`);
  operator = await startOperator({ namespace, secureDiagnostics: true });
});
afterAll(() => forgetReaders(environment()));

const metrics = (token?: string) => askDiagnostics(`https://${operator.diagnostics}/metrics`, token === undefined ? {} : { token });
const setVerbosity = (token: string, body: string) =>
  askDiagnostics(`https://${operator.diagnostics}/debug/flags/v`, { method: 'PUT', token, body });

test('the metrics are for an account with the role that comes with the manager, and for no other', async () => {
  const [may, mayNot] = await Promise.all([
    reader(environment(), 'prometheus', ['cluster-api-provider-remote-system-metrics-reader']),
    reader(environment(), 'anybody'),
  ]);
  expect(await metrics()).toEqual({ status: 401, body: 'Unauthorized' });
  expect((await metrics('made-up')).status).toBe(401);
  // Of another cluster, or long gone: signed, but not by this API server.
  expect((await metrics(`${may.slice(0, -8)}AAAAAAAA`)).status).toBe(401);
  const denied = `Authorization denied for user system:serviceaccount:${objects.namespace}:anybody`;
  expect(await metrics(mayNot)).toEqual({ status: 403, body: denied });
  const { status, body } = await metrics(may);
  expect(status).toBe(200);
  expect(body).toContain('controller_runtime_max_concurrent_reconciles{controller="remotemachine"} 10\n');
  // The right to read is none to write.
  expect((await setVerbosity(may, '2')).status).toBe(403);
  await expect(fetch(`http://${operator.diagnostics}/metrics`)).rejects.toThrow();
});

test('a token of an account that is gone is worth nothing', async () => {
  const { client, controlPlane, namespace } = environment();
  const token = await reader(environment(), 'short-lived', ['cluster-api-provider-remote-system-metrics-reader']);
  await client.delete({ apiVersion: 'v1', kind: 'ServiceAccount', namespace, name: 'short-lived' });
  // The API server learns of it by a watch of its own, and keeps what it said of a token for 10 s.
  const end = performance.now() + 30_000;
  while ((await askDiagnostics(`${controlPlane.url}/version`, { token })).status !== 401) {
    if (performance.now() > end) throw new Error('the API server goes on taking the token of an account that is gone');
    await sleep(200);
  }
  expect((await metrics(token)).status).toBe(401);
});

test('what was said once is not asked again for each scrape', async () => {
  const token = await reader(environment(), 'often', ['cluster-api-provider-remote-system-metrics-reader']);
  const asked = async () => Number(/rest_client_requests_total\{method="POST",code="201"\} (\d+)/.exec((await metrics(token)).body)?.[1]);
  const before = await asked();
  for (let times = 0; times < 10; times++) await metrics(token);
  expect(await asked()).toBe(before);
});

test('the log has debug lines from the moment on at which an account with the right asks for them', async () => {
  const { client } = environment();
  const role = await roleFor(environment(), 'put', '/debug/flags/v');
  const token = await reader(environment(), 'debugger', [role]);
  /** Waits until the operator has logged that; nothing tells of a line. Returns what it had logged by then. */
  const untilLogged = async (text: string): Promise<string> => {
    const end = performance.now() + 10_000;
    while (!operator.logs().includes(text)) {
      if (performance.now() > end) throw new Error(`the operator did not log ${text}:\n${operator.logs().slice(-2000)}`);
      await sleep(20);
    }
    return operator.logs();
  };
  /** At debug the operator logs each reconcile. */
  const provoke = async (name: string) => {
    await client.applyAll(objects.cluster(name));
    await client.waitForCondition(objects.ref('RemoteCluster', name), 'Ready');
  };
  await provoke('before');
  expect(operator.logs()).not.toContain('"level":"debug"');
  expect(await setVerbosity(token, '2')).toEqual({ status: 200, body: 'the verbosity is 2\n' });
  await provoke('during');
  await untilLogged('"msg":"reconciled"');
  expect(await setVerbosity(token, '0')).toMatchObject({ status: 200 });
  const until = await untilLogged('"verbosity":0');
  expect((await setVerbosity(token, 'loud')).status).toBe(400);
  await provoke('after');
  expect(operator.logs().slice(until.length)).not.toContain('"level":"debug"');
});

describe('with a certificate of its own', () => {
  /** Serial number of the certificate that is presented to somebody who trusts its authority alone. */
  const presented = (port: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: Number(port), ca: environment().controlPlane.ca }, () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  /** As a Secret is mounted: all files change at one instant. */
  const mount = async (name: string): Promise<void> => {
    const { controlPlane } = environment();
    const issued = await controlPlane.issueServingCertificate(`${objects.namespace}-${name}`);
    await rename(join(issued, 'tls.key'), join(certificates, 'tls.key'));
    await rename(join(issued, 'tls.crt'), join(certificates, 'tls.crt'));
  };

  test('a client verifies it, and its successor without a restart', async () => {
    await mkdir(certificates, { recursive: true });
    await mount('first');
    const { namespace, startOperator } = environment();
    const args = [`--diagnostics-cert-dir=${certificates}`];
    const verified = await startOperator({ name: 'verified', namespace, secureDiagnostics: true, args });
    const port = verified.diagnostics.split(':')[1] ?? '';
    const first = await presented(port);
    await mount('second');
    await writeFile(join(certificates, 'unrelated'), '');
    const end = performance.now() + 10_000;
    let second = first;
    while (second === first && performance.now() < end) second = await presented(port).catch(() => first);
    expect(second).not.toBe(first);
    await verified.stop();
  });
});
