/** Start-up with a large fleet: from the start of the process until it is ready, and what it takes in memory then. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StartedEnvironment } from '../env/environment.ts';
import type { Operator } from '../env/operator.ts';
import { CLUSTER_API, INFRASTRUCTURE, Objects, PREFIX } from '../fixtures/objects.ts';
import { isReady } from '../fixtures/pool.ts';

export const MACHINES = 1_000;
export const ENTRIES = 10_000;
const STARTS = 3;
/** Objects that are made at once. */
const AT_ONCE = 50;

const objects = new Objects('startup');
const nameOf = (kind: string, i: number): string => `${kind}-${String(i).padStart(5, '0')}`;
const hostOf = (i: number) => ({ address: `192.0.2.${i % 250}`, port: 1024 + i, user: 'root', sshKeyRef: { name: 'pool-key' } });

export interface Startup {
  /** ms from the start of the process, of each start. */
  ready: number[];
  /** MB resident, at the moment at which it is ready, and when all is reconciled. */
  memory: { ready: number; settled: number };
}

/** @param start starts a manager, and does not wait until it is ready */
export async function measureStartup(environment: StartedEnvironment, start: () => Promise<Operator>): Promise<Startup> {
  const { client } = environment;
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: objects.namespace } });
  // What Cluster API core does with a thousand Machines is not the operator's.
  await environment.managers.core?.stop();
  for (const kind of ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']) {
    const apiVersion = 'admissionregistration.k8s.io/v1';
    for (const { metadata } of await client.list({ apiVersion, kind })) await client.delete({ apiVersion, kind, name: metadata.name });
  }
  await makeFleet(environment);
  // The first one writes what the others find: an entry's conditions, a reservation.
  const first = await start();
  while (!(await isUp(first))) await sleep(50);
  await settled(first);
  const entries = await client.list({ apiVersion: INFRASTRUCTURE, kind: 'PooledRemoteMachine', namespace: objects.namespace });
  const left = entries.filter((entry) => !isReady(entry)).length;
  if (entries.length !== ENTRIES || left > 0) throw new Error(`of ${entries.length} entries ${left} are not Ready`);
  await first.stop();
  const ready: number[] = [];
  const memory = { ready: 0, settled: 0 };
  for (let times = 0; times < STARTS; times++) {
    const operator = await start();
    const began = performance.now();
    while (!(await isUp(operator))) await sleep(5);
    ready.push(performance.now() - began);
    memory.ready = await residentMB(operator.process.pid);
    await settled(operator);
    memory.settled = await residentMB(operator.process.pid);
    await operator.stop();
  }
  return { ready, memory };
}

const isUp = (operator: Operator): Promise<boolean> =>
  fetch(`http://${operator.health}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );

/** Waits until every object was reconciled and nothing is left to do. */
async function settled(operator: Operator): Promise<void> {
  for (let calm = 0; calm < 5;) {
    await sleep(1_000);
    const metrics = await operator.metrics().catch(() => '');
    const left = [...metrics.matchAll(/^(?:workqueue_depth|controller_runtime_active_workers)\{.*\} (\d+)$/gm)];
    calm = left.length > 0 && left.every(([, count]) => count === '0') ? calm + 1 : 0;
  }
}

export const residentMB = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1000;
};

async function inBatches(count: number, make: (i: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => make(from + i)));
}

/** A pool of which a part serves machines that are long ready, as they stand in the API server then. */
async function makeFleet({ client }: StartedEnvironment): Promise<void> {
  await client.applyAll(objects.cluster('fleet'));
  await inBatches(ENTRIES, (i) =>
    client.create({
      apiVersion: INFRASTRUCTURE,
      kind: 'PooledRemoteMachine',
      metadata: { namespace: objects.namespace, name: nameOf('entry', i) },
      spec: { pool: `pool-${i % 10}`, machine: hostOf(i) },
    }),
  );
  await inBatches(MACHINES, async (i) => {
    const name = nameOf('machine', i);
    const { metadata } = await client.create(objects.machine(name, 'fleet'));
    const owner = { apiVersion: CLUSTER_API, kind: 'Machine', name, uid: metadata.uid ?? '', controller: true };
    const host = hostOf(i);
    const made = await client.create({
      apiVersion: INFRASTRUCTURE,
      kind: 'RemoteMachine',
      metadata: {
        namespace: objects.namespace,
        name,
        labels: { 'cluster.x-k8s.io/cluster-name': 'fleet' },
        annotations: { [`${PREFIX}/pool-entry`]: nameOf('entry', i), [`${PREFIX}/run-id`]: `${name}-1`, [`${PREFIX}/host-key`]: HOST_KEY },
        finalizers: [`remotemachine.${PREFIX}/finalizer`],
        ownerReferences: [owner],
      },
      spec: { pool: `pool-${i % 10}`, ...host, providerID: `remote-machine://${host.address}:${host.port}` },
    });
    const machineRef = { namespace: objects.namespace, name, uid: made.metadata.uid, clusterName: 'fleet' };
    await client.patch(objects.ref('RemoteMachine', name), { status: statusOf(name, host.address) }, 'status');
    await client.patch(objects.ref('PooledRemoteMachine', nameOf('entry', i)), { status: { reserved: true, machineRef } }, 'status');
  });
}

const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q';

/** As the operator leaves it. */
function statusOf(name: string, address: string): object {
  const at = '2026-01-01T00:00:00Z';
  const condition = (type: string, reason: string, message: string) => ({ type, status: 'True', reason, message, lastTransitionTime: at });
  return {
    ready: true,
    initialization: { provisioned: true },
    addresses: [{ type: 'ExternalIP', address }],
    bootstrap: { runID: `${name}-1`, phase: 'Succeeded', startedAt: at, finishedAt: at, exitCode: 0 },
    host: { hostname: name, machineID: name, os: 'Debian GNU/Linux 12 (bookworm)', kernel: '6.1.0', architecture: 'x86_64', cpus: 4 },
    conditions: [
      condition('HostReserved', 'Reserved', 'Has its host'),
      condition('HostReachable', 'Reachable', 'Connected'),
      condition('BootstrapExecSucceeded', 'BootstrapSucceeded', `Run ${name}-1 succeeded`),
      condition('NodeProviderIDSet', 'NodeProviderIDSet', `Node ${name} has the provider ID`),
      condition('Ready', 'Provisioned', 'Provisioned'),
    ],
  };
}
