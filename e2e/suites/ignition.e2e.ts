/**
 * The operator held against the real Ignition: each document of e2e/corpus/ignition, and a few made at random, on two fresh hosts, one
 * of them by Ignition stage by stage (Debian's 2.14 up to 3.3, 2.24 from 3.4 on, 0.36 for 2.x), the other by the operator's planner and
 * runner over SSH; then everything that the two hosts have is compared. Documents in the folder systemd are for hosts that systemd
 * runs; two go through the whole operator. Disks and file systems have a suite of their own.
 *
 * DOCUMENT=users compares the documents of that name, GENERATED=500 as many at random, SEED=1 those of an earlier run.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { versionOf } from '../env/binaries.ts';
import { createHost, type Host, type HostingState } from '../env/hosts.ts';
import { ignitionImage } from '../env/ignition.ts';
import { gateway } from '../env/network.ts';
import { applyByIgnition } from '../fixtures/ignition/apply.ts';
import { DIFFERENCES } from '../fixtures/ignition/differences.ts';
import { randomDocuments } from '../fixtures/ignition/documents.ts';
import { Objects } from '../fixtures/objects.ts';
import { Lanes, print, printed } from '../fixtures/oracle/lanes.ts';
import { Reports } from '../fixtures/reports.ts';
import { sharedEnvironment } from '../jest/shared.ts';

const CORPUS = join(import.meta.dirname, '../corpus/ignition');
const OF_KUBEADM = `../kubeadm-${versionOf('cluster-api')}/ignition`;
const { DOCUMENT = '', GENERATED = '4' } = process.env;
/** Always the same few documents, so that a failure is not one that comes and goes; others where more of them are asked for. */
const { SEED = process.env['GENERATED'] === undefined ? '1' : String(Date.now() % 1_000_000) } = process.env;
/** What hosts that systemd runs have more: their journals and their own state. */
const OF_SYSTEMD =
  /^\/run(?:\/|$)|^\/(?:var\/)?tmp\/systemd-private|^\/var\/(?:log\/(?:journal|private)|lib\/(?:systemd|dbus|private))(?:\/|$)|^\/etc\/machine-id$/;
/** Ignition's own copies of the document. */
const ITS_OWN = /^\/run\/(?:config\.ign|ignition(?:\.json)?)(?:\/|$)/;
const ignition = { name: 'Ignition', apply: applyByIgnition, differences: DIFFERENCES, ignored: ITS_OWN };
const environment = sharedEnvironment('ignition');
/** What documents fetch. */
const files: Record<string, Buffer> = { '/plain': Buffer.from('fetched\n'), '/packed': gzipSync('unpacked\n') };
const server = createServer(({ url = '', headers }, response) => {
  const token = headers['x-token'];
  if (url === '/moved-plain' || (url === '/moved' && token === 'open sesame')) {
    response.writeHead(302, { location: '/told?a="b"' }).end('elsewhere\n');
    return;
  }
  if (url.startsWith('/told')) files[url] = Buffer.from(`told ${String(token)}\n`);
  const content = url === '/secret' && token === 'open sesame' ? Buffer.from('secret\n') : files[url];
  response.writeHead(content === undefined ? 404 : 200).end(content);
});
let hosting: HostingState;
let light: Lanes;
let full: Lanes;
let objects: Objects;
let reports: Reports;

jest.setTimeout(3_600_000);

/** The address of the server stands for @SERVER@, a hash for @SHA256(content)@. */
const filled = (document: string): string =>
  document
    .replaceAll('@SERVER@', `http://${gateway(hosting.network.prefix)}:${(server.address() as AddressInfo).port}`)
    .replaceAll(/@SHA256\((.*?)\)@/g, (_, content: string) => createHash('sha256').update(`${content}\n`).digest('hex'));

const corpus = (folder: string): Map<string, string> =>
  new Map(
    readdirSync(join(CORPUS, folder))
      .filter((name) => name.endsWith('.ign') && name.includes(DOCUMENT))
      .map((name) => [name, filled(readFileSync(join(CORPUS, folder, name), 'utf8'))]),
  );
const fails = (name: string): boolean => name.startsWith('fails-');

beforeAll(async () => {
  const { state, client, namespace, startOperator } = environment();
  if (state.hosting === undefined) throw new Error('the environment has no hosts');
  const image = await ignitionImage(printed);
  hosting = { ...state.hosting, image };
  server.listen(0, gateway(hosting.network.prefix));
  await once(server, 'listening');
  [light, full] = await Promise.all([
    Lanes.start(ignition, state.run, hosting, 2),
    Lanes.start({ ...ignition, ignored: OF_SYSTEMD }, state.run, hosting, 1, 'full'),
  ]);
  objects = new Objects(namespace);
  reports = new Reports(client, objects);
  await startOperator({ namespace });
  await client.applyAll(objects.cluster('main'));
});
afterAll(async () => {
  server.close();
  await Promise.all([light.destroy(), full.destroy()]);
});

test('the documents of the corpus', () => light.compareAll(corpus('.'), fails));

test('documents made at random', async () => {
  const documents = randomDocuments(Number(GENERATED), Number(SEED));
  print(`SEED=${SEED} GENERATED=${GENERATED} makes these documents again`);
  await light.compareAll(new Map(documents.map((document, index) => [`document ${index} of seed ${SEED}`, document])), fails);
});

test('documents whose units are started', () => full.compareAll(new Map([...corpus('systemd'), ...corpus(OF_KUBEADM)]), fails));

describe('the whole operator, with what the kubeadm bootstrap provider writes', () => {
  const document = (): string => readFileSync(join(CORPUS, 'systemd/kubeadm-init.ign'), 'utf8');
  const machineFor = async (name: string, value: string): Promise<Host> => {
    const { state, client } = environment();
    const host = await createHost(state.run, hosting, { kind: 'full' });
    await client.applyAll(objects.explicit(name, 'main', host, value, {}, 'ignition'));
    return host;
  };

  test('its unit is started, and the run ends with the sentinel', async () => {
    const host = await machineFor('started', document());
    await reports.ready('started');
    expect(await host.exists('/run/cluster-api/bootstrap-success.complete')).toBe(true);
    expect((await host.exec('systemctl is-enabled kubeadm.service')).stdout).toBe('enabled\n');
    // After it has run, and run once.
    expect(await host.readFile('/var/log/kubeadm')).toMatch(/^kubeadm init --config \/etc\/kubeadm\.yml *\n$/);
    await host.destroy();
  });

  test('a unit that fails is named', async () => {
    const script = Buffer.from('#!/bin/sh\necho "kubeadm cannot go on" >&2\nexit 3\n').toString('base64');
    const failing = JSON.stringify({
      ignition: { version: '3.3.0', config: {} },
      storage: { files: [{ path: '/etc/kubeadm.sh', mode: 0o700, contents: { source: `data:;base64,${script}` } }] },
      systemd: {
        units: [
          {
            name: 'kubeadm.service',
            enabled: true,
            contents: '[Service]\nType=oneshot\nExecStart=/etc/kubeadm.sh\n[Install]\nWantedBy=multi-user.target\n',
          },
        ],
      },
    });
    const host = await machineFor('failing', failing);
    await reports.expect('failing', {
      type: 'BootstrapExecSucceeded',
      status: 'False',
      reason: 'BootstrapFailed',
      says: ['systemd.units kubeadm.service failed with exit code 1', 'kubeadm cannot go on', 'kubeadm.service has failed: exit-code'],
      ready: 'False',
    });
    await host.destroy();
  });
});

test('the page tells of every difference that may be, and of no other', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/ignition-differences.md'), 'utf8');
  const headings = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect(headings).toEqual([...DIFFERENCES.map(({ title }) => title), 'Not compared']);
});
