/**
 * Owns the demo: starts the environment, the hosts and the operator, applies the samples, and stays until it is told to end. It runs
 * apart from the terminal; when the terminal goes before the demo is ready, it ends and takes everything with it.
 */
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findPrograms } from '../env/binaries.ts';
import { cacheFolder, timed } from '../env/cache.ts';
import { type AnyObject, type Manifest, parseYAML } from '../env/client.ts';
import { type Environment, startEnvironment } from '../env/environment.ts';
import type { Host } from '../env/hosts.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { k0smotronKinds } from '../fixtures/k0s.ts';
import type { Message, Row } from './messages.ts';
import { playProviders, remoteMachines } from './providers.ts';

const samples = join(import.meta.dirname, '../../manifests/samples');
let finished = false;
const tell = (message: Message): void => void process.send?.(message);
const progress = (event: { what: string; seconds?: number }): void => tell({ kind: 'step', ...event });

/** Addresses that the samples name, which the demo's hosts take the place of. */
function withHosts(text: string, hosts: Host[]): Manifest[] {
  const addresses = new Map(['1.2.3.4', '2.3.4.5'].map((address, index) => [address, hosts[index]?.address ?? '']));
  return parseYAML(text.replaceAll(/\b(1\.2\.3\.4|2\.3\.4\.5)\b/g, (address) => addresses.get(address) ?? address));
}

async function applySamples({ client, controlPlane }: Environment, [explicit, ...pool]: Host[]): Promise<void> {
  if (explicit === undefined) throw new Error('no host');
  // Core looks among the Secrets that carry its cluster's name.
  const labels = { 'clusterctl.cluster.x-k8s.io/move': '', 'cluster.x-k8s.io/cluster-name': 'remote-test' };
  const secret = (name: string, value: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'default', name, labels },
    stringData: { value },
  });
  const keys = ['footloose-key', 'footloose-key-0', 'footloose-key-1'].map((name) => secret(name, explicit.privateKey));
  // The management cluster stands in for the workload cluster too.
  const kubeconfig = secret('remote-test-kubeconfig', await readFile(controlPlane.kubeconfig, 'utf8'));
  await client.applyAll([...k0smotronKinds(), ...keys, { ...kubeconfig, type: 'cluster.x-k8s.io/secret' }]);
  await client.applyAll(withHosts(await readFile(join(samples, 'explicit-machine.yaml'), 'utf8'), [explicit]));
  await client.applyAll(withHosts(await readFile(join(samples, 'pool.yaml'), 'utf8'), pool));
}

/** Follows the machines until as many as expected are there, and all are ready. */
async function followMachines({ client }: Environment, expected: number, timeout: number): Promise<void> {
  const signal = AbortSignal.timeout(timeout);
  const machines = { apiVersion: 'cluster.x-k8s.io/v1beta2', kind: 'Machine', namespace: 'default' };
  const latest: { machines: AnyObject[]; remotes: AnyObject[] } = { machines: [], remotes: [] };
  const readyAt = new Map<string, number>();
  const following = new AbortController();
  const stop = AbortSignal.any([signal, following.signal]);
  const show = () => {
    const rows = latest.machines.map((machine) => rowOf(machine, latest.remotes, readyAt));
    tell({ kind: 'machines', rows });
    if (rows.length === expected && rows.every(({ ready }) => ready)) following.abort();
  };
  const watch = async (reference: typeof machines, key: keyof typeof latest) => {
    for await (const objects of client.observe(reference, stop)) {
      latest[key] = objects;
      show();
    }
  };
  await Promise.all([watch(machines, 'machines'), watch(remoteMachines, 'remotes')]).catch((error: unknown) => {
    if (following.signal.aborted) return;
    if (!signal.aborted) throw error;
    const last = latest.machines
      .map((machine) => rowOf(machine, latest.remotes, readyAt))
      .map(({ machine, phase }) => `${machine}: ${phase}`);
    throw new Error(`not every machine is ready after ${timeout / 1000} s (${last.join('; ')})`);
  });
}

function rowOf(machine: AnyObject, remotes: AnyObject[], readyAt: Map<string, number>): Row {
  const { name, creationTimestamp = '' } = machine.metadata;
  const remote = remotes.find(({ metadata }) => metadata.name === name);
  const summary = remote?.status?.conditions?.find(({ type }) => type === 'Ready');
  const phase = typeof machine.status?.['phase'] === 'string' ? machine.status['phase'] : 'Pending';
  const ready = phase === 'Running' && summary?.status === 'True';
  if (ready && !readyAt.has(name)) readyAt.set(name, Date.now());
  const host = typeof remote?.spec?.['address'] === 'string' ? remote.spec['address'] : '';
  const waiting = ready || summary === undefined || summary.status === 'True' ? '' : ` (${summary.reason ?? ''})`;
  const seconds = ((readyAt.get(name) ?? Date.now()) - Date.parse(creationTimestamp)) / 1000;
  return { machine: name, host, phase: ready ? 'Running, Ready' : phase + waiting, seconds: Math.max(0, seconds), ready };
}

/** A copy of the administrator's kubeconfig where the user who started the demo can read it. */
async function publishKubeconfig({ controlPlane }: Environment): Promise<string> {
  const path = join(cacheFolder(), 'demo.kubeconfig');
  await mkdir(cacheFolder(), { recursive: true });
  await writeFile(path, await readFile(controlPlane.kubeconfig), { mode: 0o600 });
  const user = Number(process.env['SUDO_UID'] ?? NaN);
  if (!Number.isNaN(user)) await chown(path, user, Number(process.env['SUDO_GID'] ?? user));
  return path;
}

async function main(): Promise<void> {
  const environment = await startEnvironment({ purpose: 'demo', managers: ['core'], controllerManager: true, progress });
  const hosts = await timed(progress, 'start 3 hosts (real OpenSSH servers in network namespaces of their own)', () =>
    environment.createHosts(3),
  );
  await timed(progress, 'start the operator', () => environment.startOperator());
  const stop = new AbortController();
  await timed(progress, 'apply explicit-machine.yaml and pool.yaml with the addresses and keys of the hosts', () =>
    applySamples(environment, hosts),
  );
  tell({
    kind: 'note',
    text: 'k0s and k0smotron are not installed: the demo plays their part (bootstrap data, control planes and their machines, Nodes).',
  });
  const machineIDs = new Map(
    await Promise.all(hosts.map(async (host) => [host.address, (await host.readFile('/etc/machine-id')).trim()] as const)),
  );
  playProviders(environment, machineIDs, stop.signal).catch(fail);
  await followMachines(environment, 2, 180_000);
  const { kubectl } = await findPrograms(['kubectl'], progress);
  const kubeconfig = await publishKubeconfig(environment);
  finished = true;
  tell({
    kind: 'ready',
    kubeconfig,
    kubectl,
    hosts: hosts.map(({ name, address }) => ({ name, address })),
    key: environment.state.hosting?.keyPath ?? '',
  });
  process.disconnect();
}

function fail(error: unknown): void {
  const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${reason}\n`);
  // The message must be out before the channel closes with us.
  if (process.connected)
    process.send?.({ kind: 'failed', reason: error instanceof Error ? error.message : reason } satisfies Message, () => process.exit(1));
  else process.exit(1);
}

cleanUpAtExit();
process.on('disconnect', () => {
  if (!finished) process.exit(1);
});
main().catch(fail);
