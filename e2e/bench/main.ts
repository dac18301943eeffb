/** `make bench`: the operator beside plain ssh on the same hosts in the same run. Prints tables, writes out/bench.json. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Table from 'cli-table3';
import { CLUSTER_NAME_LABEL } from '../../apis/cluster/types.ts';
import { type AnyObject, asNamed } from '../env/client.ts';
import { startEnvironment, type StartedEnvironment } from '../env/environment.ts';
import type { Host } from '../env/hosts.ts';
import type { Operator } from '../env/operator.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { type ApiRequest, requestsOf, summarize } from '../fixtures/audit.ts';
import { counting, Objects } from '../fixtures/objects.ts';
import { gateway } from '../env/network.ts';
import { PlainSSH } from './ssh.ts';
import { measureUpload } from './upload.ts';
import { ENTRIES as LARGE, MACHINES, measureStartup, residentMB } from './startup.ts';

const ROUNDS = 7;
const FLEET = 40;
const FLEET_SECONDS = 10;
const ENTRIES = 1_000;
/** How long an idle machine is watched for requests, ms. */
const IDLE = 15_000;

/** As `npm start` and the image run it: a small young generation, as most objects that it keeps live long. */
const AS_STARTED = '--max-semi-space-size=2';

interface Figure {
  what: string;
  measured: string;
  goal: string;
  met: boolean;
}

interface Bench {
  environment: StartedEnvironment;
  objects: Objects;
  /** Of the pool. */
  hosts: Host[];
  /** In no pool. */
  spare: Host;
  ssh: PlainSSH;
  operator: Operator;
  figures: Figure[];
}

const out = join(import.meta.dirname, '../../out');
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const CLEAN = { cleanUpCommands: ['rm -f /var/log/e2e-runs'] };

/** The commands of the bootstrap data, as a person would send them. */
const scriptOf = (commands: string[]): string =>
  `set -e\nmkdir -p /etc/e2e && echo 'written by write_files' > /etc/e2e/config\necho run >> /var/log/e2e-runs\n${commands.join('\n')}\nmkdir -p /run/cluster-api && echo success > /run/cluster-api/bootstrap-success.complete\n`;

/**
 * Creates a machine's objects, the RemoteMachine last and with its owner, as Cluster API core sets it: core itself takes two seconds for
 * that, as it touches a Machine once a second at most. Returns when the last one was created (ms of performance.now).
 */
async function create(bench: Bench, name: string, spec: object, data: string): Promise<number> {
  return last(bench, name, spec, await before(bench, name, data));
}

/** Returns the Machine's UID. */
async function before({ environment: { client }, objects }: Bench, name: string, data: string): Promise<string> {
  await client.create(objects.bootstrapData(name, data));
  const { metadata } = await client.create(objects.machine(name, 'bench'));
  return metadata.uid ?? '';
}

async function last({ environment: { client }, objects }: Bench, name: string, spec: object, uid: string): Promise<number> {
  const { apiVersion, kind } = objects.clusterRef('Machine', name);
  const owner = { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
  const labels = { [CLUSTER_NAME_LABEL]: 'bench' };
  await client.create(objects.remoteMachine(name, { ...spec, ...CLEAN }, { ownerReferences: [owner], labels }));
  return performance.now();
}

async function remove(bench: Bench, names: string[]): Promise<void> {
  const { client } = bench.environment;
  await Promise.all(
    names.map(async (name) => {
      await client.delete(bench.objects.clusterRef('Machine', name));
      await client.waitForGone(bench.objects.clusterRef('Machine', name), 180_000);
    }),
  );
}

const ready = (bench: Bench, name: string, timeout = 60_000) =>
  bench.environment.client.waitForCondition(bench.objects.ref('RemoteMachine', name), 'Ready', timeout);

/** One machine over plain ssh: at most 0.5 s more. */
async function single(bench: Bench): Promise<void> {
  const { spare: host } = bench;
  const overheads: number[] = [];
  const plains: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const plain = await bench.ssh.one(host, scriptOf([]));
    const name = `single-${round}`;
    const created = await create(bench, name, { address: host.address, sshKeyRef: { name: 'pool-key' } }, counting());
    await ready(bench, name);
    const took = performance.now() - created;
    plains.push(plain);
    overheads.push(took - plain);
    await remove(bench, [name]);
  }
  const over = median(overheads);
  bench.figures.push({
    what: `one machine, last object created to ready, over plain ssh (${seconds(median(plains))}); median of ${ROUNDS}, worst ${seconds(Math.max(...overheads))}`,
    measured: `+${seconds(over)}`,
    goal: '+0.50 s',
    met: over <= 500,
  });
}

/** What one machine costs in requests, from first sight to released. */
async function requests(bench: Bench, kind: 'explicit' | 'pool'): Promise<void> {
  const { spare: host } = bench;
  const name = `requests-${kind}`;
  const goal = kind === 'pool' ? 7 : 6;
  const spec = kind === 'pool' ? { pool: 'bench' } : { address: host.address, sshKeyRef: { name: 'pool-key' } };
  const log = bench.environment.controlPlane.auditLog ?? '';
  const since = Date.now();
  await create(bench, name, spec, counting(['sleep 3']));
  await ready(bench, name);
  const readyAt = Date.now();
  // What it waits for from now on is told once.
  await pause(5_000);
  const idleFrom = Date.now();
  await pause(IDLE);
  const deletedAt = Date.now();
  await bench.environment.client.delete(bench.objects.clusterRef('Machine', name));
  await bench.environment.client.waitForGone(bench.objects.clusterRef('Machine', name), 60_000);
  await pause(1_000);
  const all = requestsOf(log, since);
  const between = (from: number, to: number): ApiRequest[] => all.filter(({ at }) => at >= from && at < to);
  // What says that it is ready is the last write of its status that was asked for before it was seen here.
  const says = between(since, readyAt).findLast(({ what }) => what === 'patch remotemachines/status')?.at ?? readyAt;
  const add = (what: string, found: ApiRequest[], most: number | undefined): void => {
    const entry = { what: `requests of a ${kind} machine, ${what}: ${summarize(found) || 'none'}`, measured: String(found.length) };
    bench.figures.push({ ...entry, goal: most === undefined ? '' : String(most), met: most === undefined || found.length <= most });
  };
  add('first sight to ready', between(since, says + 1), goal);
  add('what follows on ready, once (none of it is waited for)', between(says + 1, idleFrom), undefined);
  add(`idle for ${IDLE / 1000} s`, between(idleFrom, deletedAt), 0);
  add('deletion to released', between(deletedAt, Infinity), 4);
}

/** Forty machines of a pool at once, against xargs. */
async function fleet(bench: Bench): Promise<void> {
  const commands = [`sleep ${FLEET_SECONDS}`];
  const plain = await bench.ssh.all(bench.hosts, scriptOf(commands), bench.environment.state.run.folder);
  const names = bench.hosts.map((_, i) => `fleet-${String(i).padStart(2, '0')}`);
  const uids = await Promise.all(names.map((name) => before(bench, name, counting(commands))));
  // What Cluster API core does with forty new Machines is not the operator's; on two cores it would be half of the time.
  await pause(5_000);
  const since = Date.now();
  const first = performance.now();
  await Promise.all(names.map((name, i) => last(bench, name, { pool: 'bench' }, uids[i] ?? '')));
  const created = performance.now();
  // One watch for all of them: forty would be a load of their own.
  const { apiVersion, kind, namespace } = bench.objects.ref('RemoteMachine', '');
  const isReady = (machine: AnyObject): boolean =>
    machine.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  const allReady = (machines: AnyObject[]): boolean => machines.filter(isReady).length === FLEET;
  await bench.environment.client.waitForAll({ apiVersion, kind, namespace }, allReady, 120_000);
  const end = performance.now();
  const count = requestsOf(bench.environment.controlPlane.auditLog ?? '', since).filter(({ at }) => at <= since + (end - first));
  const ratio = (end - first) / plain;
  bench.figures.push({
    what: `${FLEET} machines at once, bootstraps of ${FLEET_SECONDS} s: first RemoteMachine created to the last one ready ${seconds(end - first)} (from the last one created ${seconds(end - created)}), xargs -P ${FLEET} ssh ${seconds(plain)}`,
    measured: `${ratio.toFixed(2)} x`,
    goal: '1.15 x',
    met: ratio <= 1.15,
  });
  const each = count.length / FLEET;
  bench.figures.push({
    what: `requests a machine of these ${FLEET} until all are ready: ${summarize(count)}`,
    measured: each.toFixed(1),
    goal: '',
    met: true,
  });
  await remove(bench, names);
}

/** Memory of a manager that has a large pool to look after. */
async function memory(bench: Bench): Promise<void> {
  const { client } = bench.environment;
  const names = Array.from({ length: ENTRIES }, (_, i) => `large-${String(i).padStart(4, '0')}`);
  for (let i = 0; i < ENTRIES; i += 50) {
    await Promise.all(
      names.slice(i, i + 50).map((name, j) => {
        const address = `192.0.2.${(i + j) % 250}`;
        const machine = { address, port: 1024 + i + j, user: 'root', sshKeyRef: { name: `key-of-${name}` } };
        return client.create({ ...bench.objects.entry(name, 'large', bench.hosts[0] as Host), spec: { pool: 'large', machine } });
      }),
    );
  }
  const reference = {
    apiVersion: 'infrastructure.cluster.x-k8s.io/v1beta2',
    kind: 'PooledRemoteMachine',
    namespace: bench.objects.namespace,
  };
  const isKnown = (status: { conditions?: { type: string }[] } | undefined) =>
    status?.conditions?.some(({ type }) => type === 'Ready') ?? false;
  await client.waitForAll(reference, (entries) => entries.filter(({ status }) => isKnown(status)).length >= ENTRIES, 120_000);
  await pause(5_000);
  const used = await residentMB(bench.operator.process.pid);
  const metrics = await bench.operator.metrics();
  const megabytes = (name: string): string =>
    `${((Number(new RegExp(`^${name} (\\S+)`, 'm').exec(metrics)?.[1]) || 0) / 1e6).toFixed(0)} MB`;
  const heap = `heap ${megabytes('nodejs_heap_size_used_bytes')} used of ${megabytes('nodejs_heap_size_total_bytes')}`;
  bench.figures.push({
    what: `resident memory with ${ENTRIES} pool entries (${heap}, external ${megabytes('nodejs_external_memory_bytes')})`,
    measured: `${used.toFixed(0)} MB`,
    goal: '150 MB',
    met: used < 150,
  });
}

/** The last figure: what the others stand on is taken away for it. */
async function startup(bench: Bench): Promise<void> {
  await bench.operator.stop();
  const options = { name: 'startup', program: 'dist/manager.js', env: { NODE_OPTIONS: AS_STARTED }, unready: true } as const;
  const { ready: starts, memory: resident } = await measureStartup(bench.environment, () => bench.environment.startOperator(options));
  const took = median(starts);
  bench.figures.push({
    what: `start of the process to ready, with ${MACHINES} machines and ${LARGE} pool entries; median of ${starts.length}, worst ${seconds(Math.max(...starts))}`,
    measured: seconds(took),
    goal: '2.00 s',
    met: took < 2_000,
  });
  bench.figures.push({
    what: `resident memory then; when all is reconciled ${resident.settled.toFixed(0)} MB`,
    measured: `${resident.ready.toFixed(0)} MB`,
    goal: '',
    met: true,
  });
}

async function prepare(environment: StartedEnvironment): Promise<Bench> {
  const [spare, ...hosts] = (await environment.createHosts(FLEET + 1)) as [Host, ...Host[]];
  const objects = new Objects('default');
  const operator = await environment.startOperator({ program: 'dist/manager.js', env: { NODE_OPTIONS: AS_STARTED } });
  const { client } = environment;
  await client.applyAll(objects.cluster('bench'));
  await client.apply(objects.sshKey('pool-key', hosts[0] as Host));
  // The management cluster plays the workload cluster: no Node of it ever is one of these hosts.
  const kubeconfig = await readFile(environment.controlPlane.kubeconfig, 'utf8');
  await client.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'default', name: 'bench-kubeconfig' },
    stringData: { value: kubeconfig },
  });
  const entries = hosts.map((host, i) => objects.entry(`bench-${String(i).padStart(2, '0')}`, 'bench', host));
  for (const entry of await Promise.all(entries.map((entry) => client.create(entry))))
    await client.waitForCondition(asNamed(entry), 'Ready');
  const cluster = objects.clusterRef('Cluster', 'bench');
  await client.waitFor(
    cluster,
    ({ status }) => (status?.['initialization'] as { infrastructureProvisioned?: boolean } | undefined)?.infrastructureProvisioned === true,
  );
  const ssh = await PlainSSH.for([spare, ...hosts], environment.state.run.folder);
  return { environment, objects, hosts, spare, ssh, operator, figures: [] };
}

/** A large document to a far host, against tar. */
async function upload(bench: Bench): Promise<void> {
  const { run, hosting } = bench.environment.state;
  const { roundTrips, operator, tar } = await measureUpload(bench.spare, gateway(hosting?.network.prefix ?? ''), run.folder);
  bench.figures.push({
    what: 'round trips from the connection to the first command, 256 KiB in 200 files, 100 ms away',
    measured: roundTrips.toFixed(1),
    goal: '4',
    met: roundTrips <= 4,
  });
  bench.figures.push({
    what: `the same from nothing to the first command (${seconds(operator)}), tar | ssh tar (${seconds(tar)})`,
    measured: `${(operator / tar).toFixed(2)} x`,
    goal: '1.30 x',
    met: operator / tar <= 1.3,
  });
}

async function main(): Promise<void> {
  cleanUpAtExit();
  const progress = ({ what, seconds: took }: { what: string; seconds?: number }): void => {
    if (took !== undefined) process.stderr.write(`${what}: ${took.toFixed(1)} s\n`);
  };
  const environment = await startEnvironment({ purpose: 'bench', managers: ['core'], controllerManager: true, audit: true, progress });
  try {
    const bench = await prepare(environment);
    const steps: Record<string, (bench: Bench) => Promise<void>> = {
      single,
      explicit: (b) => requests(b, 'explicit'),
      pool: (b) => requests(b, 'pool'),
      fleet,
      upload,
      memory,
      startup,
    };
    const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(steps);
    for (const name of wanted) await steps[name]?.(bench);
    await bench.operator.stop();
    const table = new Table({ head: ['figure', 'measured', 'goal', ''], colWidths: [90, 12, 10, 8], wordWrap: true });
    for (const { what, measured, goal, met } of bench.figures)
      table.push([what, measured, goal, goal === '' ? '' : met ? 'met' : 'missed']);
    process.stdout.write(`${table.toString()}\n`);
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'bench.json'), `${JSON.stringify({ at: new Date().toISOString(), figures: bench.figures }, null, 2)}\n`);
  } finally {
    await environment.stop();
  }
}

await main();
