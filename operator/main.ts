/** The manager: wires the rooms together and runs until it is told to stop. */
import { hostname } from 'node:os';
import manifest from '../package.json' with { type: 'json' };
import { CLUSTER_GROUP, type Cluster, type Machine } from '../apis/cluster/types.ts';
import type { PooledRemoteMachine, RemoteCluster, RemoteMachine } from '../apis/infrastructure/kinds.ts';
import { POOLED_REMOTE_MACHINES, REMOTE_CLUSTERS, REMOTE_MACHINES } from '../apis/infrastructure/resources.ts';
import type { KubernetesObject } from '../apis/meta.ts';
import { isDeclared } from '../apis/rights.ts';
import { check, report } from './check.ts';
import { AccessReader } from './controllers/hosts/access.ts';
import { type HostOutcome, ownerOfTask, type TaskOwner } from './controllers/hosts/tasks.ts';
import { PooledRemoteMachineReconciler } from './controllers/pooledremotemachine/controller.ts';
import { CLUSTER_INDEXES, RemoteClusterReconciler } from './controllers/remotecluster/controller.ts';
import { RemoteMachineReconciler } from './controllers/remotemachine/controller.ts';
import { WorkloadNodes } from './controllers/remotemachine/workload-nodes.ts';
import { type Flags, parseFlags } from './flags.ts';
import { BackgroundTasks } from './framework/background.ts';
import { ApiClient, servedVersion } from './framework/client.ts';
import { Controller } from './framework/controller.ts';
import { DiagnosticsServer } from './framework/diagnostics.ts';
import { EventSink } from './framework/events.ts';
import { HealthServer } from './framework/health.ts';
import { createInformer } from './framework/informers.ts';
import { loadKubeConfig, serverAccess } from './framework/kubeconfig.ts';
import { createLogger, type RootLogger } from './framework/logging.ts';
import { RemoteOperator } from './framework/operator.ts';
import type { WorkQueue } from './framework/queue.ts';
import { Reviews } from './framework/reviews.ts';
import type { Logger, Reconciler, Request, Resource } from './framework/types.ts';
import { leaderElection, leaseOf } from './leading.ts';
import { managerMetrics, type ManagerMetrics } from './metrics.ts';
import { Allocator } from './pool/allocator.ts';
import { ENTRY_INDEXES, MACHINE_INDEXES } from './pool/indexes.ts';
import { decryptIn, plannerIn, startDecrypting, startPlanning } from './reading.ts';
import { Executor, type Progress } from './runner/execution.ts';
import { createRunner } from './runner/runner.ts';
import { KeyRing } from './ssh/key-ring.ts';
import { SSHDialer } from './ssh/dialer.ts';
import { MeasuredDialer } from './ssh/measured.ts';
import { workloadConnector } from './workload.ts';

/** Milliseconds between SSH keepalives: a dead host is noticed within three of them. */
const KEEPALIVE = 10_000;

const VERSION = manifest.version;

/** Slots of each semaphore that SSH work takes (see limitsOf). */
const slotsOf = (flags: Flags) => (limit: string) => {
  if (limit === 'total') return flags.maxConnections;
  return limit.startsWith('bastion/') ? flags.maxConnectionsPerBastion : flags.maxConnectionsPerHost;
};

/** Cluster API's resources in the newest version that is served and known here. */
async function clusterResources(client: ApiClient, signal: AbortSignal): Promise<{ clusters: Resource; owners: Resource }> {
  const version = await servedVersion(client, CLUSTER_GROUP, ['v1beta2', 'v1beta1'], signal);
  const resource = (kind: string, plural: string): Resource => ({ group: CLUSTER_GROUP, version, plural, kind, namespaced: true });
  return { clusters: resource('Cluster', 'clusters'), owners: resource('Machine', 'machines') };
}

type Tasks = BackgroundTasks<Progress, HostOutcome>;
type Queues = Map<TaskOwner, (request: Request) => void>;

/** What everything else stands on. */
interface Foundation {
  flags: Flags;
  log: Logger;
  client: ApiClient;
  metrics: ManagerMetrics;
  queues: Queues;
  tasks: Tasks;
  resources: { clusters: Resource; owners: Resource };
}

/** One cache a kind, each fed by lists and watches of its own. */
function createCaches({ client, log, flags, resources }: Foundation) {
  const cache = <T extends KubernetesObject>(resource: Resource, indexers: Record<string, (object: T) => string[]> = {}) =>
    createInformer<T>({ client, log, resource, indexers }, flags.namespace);
  return {
    machines: cache<RemoteMachine>(REMOTE_MACHINES, MACHINE_INDEXES),
    entries: cache<PooledRemoteMachine>(POOLED_REMOTE_MACHINES, ENTRY_INDEXES),
    remoteClusters: cache<RemoteCluster>(REMOTE_CLUSTERS),
    owners: cache<Machine>(resources.owners),
    clusters: cache<Cluster>(resources.clusters, CLUSTER_INDEXES),
  };
}

/** What goes on over SSH; its progress enqueues the object that it is of. */
function createTasks(flags: Flags): { queues: Queues; tasks: Tasks } {
  const queues: Queues = new Map();
  const tasks: Tasks = new BackgroundTasks({
    slots: slotsOf(flags),
    onChange: (key) => {
      const { owner, request } = ownerOfTask(key);
      queues.get(owner)?.(request);
    },
  });
  return { queues, tasks };
}

function createWork({ client, log, flags, metrics }: Foundation) {
  const { sshConnectTimeout: timeout, sshLegacyAlgorithms: legacyAlgorithms } = flags;
  const dialer = new MeasuredDialer(new SSHDialer(new KeyRing(decryptIn(startDecrypting()))), metrics.connections);
  const executor = new Executor(dialer, createRunner, { timeout, keepalive: KEEPALIVE, legacyAlgorithms });
  const planner = plannerIn(startPlanning());
  return { executor, planner, nodes: new WorkloadNodes(client, workloadConnector(VERSION, log), log) };
}

type Caches = ReturnType<typeof createCaches>;
type Work = ReturnType<typeof createWork>;

/** A controller a kind, told of the changes that concern it. */
function createControllers(foundation: Foundation, caches: Caches, { executor, planner, nodes }: Work, events: EventSink): Controller[] {
  const { client, log, flags, metrics, resources, queues, tasks } = foundation;
  const { machines, entries, remoteClusters, owners, clusters } = caches;
  const allocator = new Allocator(client, entries, machines);
  const common = { client, machines, entries, clusters, allocator, access: new AccessReader(client), executor, tasks, events };
  const { watchFilter } = flags;
  const ofMachine = new RemoteMachineReconciler({
    ...common,
    owners,
    ownerResource: resources.owners,
    planner,
    nodes,
    settings: { ...flags, watchFilter },
    log,
  });
  const ofEntry = new PooledRemoteMachineReconciler({
    ...common,
    clusterResource: resources.clusters,
    watchFilter,
    cleanupTimeout: flags.cleanupDeadline || Infinity,
  });
  const ofCluster = new RemoteClusterReconciler({ client, remoteClusters, clusters, events, watchFilter });
  const controller = (name: string, reconciler: Reconciler, sources: (queue: WorkQueue) => void): Controller =>
    new Controller({ name, reconciler, concurrency: flags.concurrency, log, metrics, sources });
  const forMachines = controller('remotemachine', ofMachine, (queue) => {
    const on = ofMachine.watch(queue);
    machines.onChange(on.machines);
    entries.onChange(on.entries);
    clusters.onChange(on.clusters);
    owners.onChange(on.owners);
  });
  const forEntries = controller('pooledremotemachine', ofEntry, (queue) => {
    const on = ofEntry.watch(queue);
    machines.onChange(on.machines);
    entries.onChange(on.entries);
    clusters.onChange(on.clusters);
  });
  const forClusters = controller('remotecluster', ofCluster, (queue) => {
    const on = ofCluster.watch(queue);
    remoteClusters.onChange(on.remoteClusters);
    clusters.onChange(on.clusters);
  });
  // Of a thousand machines that come at once, those whose host answered go on before the next are looked at.
  queues.set('machine', (request) => forMachines.queue.addFirst(request));
  queues.set('entry', (request) => forEntries.queue.addFirst(request));
  nodes.enqueue = (request) => forMachines.queue.add(request);
  return [forMachines, forEntries, forClusters];
}

function createDiagnostics({ flags, client, log, metrics: { registry } }: Foundation, { setVerbosity }: Pick<RootLogger, 'setVerbosity'>) {
  const { diagnosticsAddress: address, diagnosticsCertDir: certificates, insecureDiagnostics } = flags;
  const secure = { access: new Reviews(client), certificates, setVerbosity };
  return new DiagnosticsServer({ address, registry, log, ...(!insecureDiagnostics && { secure }) });
}

async function build(flags: Flags, log: RootLogger): Promise<RemoteOperator> {
  const config = loadKubeConfig(flags.kubeconfig);
  const work = createTasks(flags);
  const { watchFilter } = flags;
  const metrics = managerMetrics({ version: VERSION, watchFilter, now: () => client.now(), waiting: () => work.tasks.waiting });
  const client = new ApiClient({ access: serverAccess(config), version: VERSION, log, metrics, isDeclared });
  const resources = await clusterResources(client, AbortSignal.timeout(60_000));
  const foundation = { flags, log, client, metrics, resources, ...work };
  const caches = createCaches(foundation);
  caches.machines.onChange(metrics.onMachine);
  caches.entries.onChange(metrics.onEntry);
  const hosts = createWork(foundation);
  const events = new EventSink({ client, log, instance: hostname() });
  const lease = leaderElection(foundation);
  return new RemoteOperator({
    config,
    log,
    informers: Object.values(caches),
    controllers: createControllers(foundation, caches, hosts, events),
    ...(lease && { leaderElection: lease }),
    health: new HealthServer({ address: flags.healthAddr, log }),
    diagnostics: createDiagnostics(foundation, { setVerbosity: (verbosity) => log.setVerbosity(verbosity) }),
    cleanups: [
      () => work.tasks.shutDown(),
      () => {
        hosts.nodes.shutDown();
        return events.drain(3_000);
      },
    ],
  });
}

/** --check, in place of all else; its exit code. */
async function checkOnly(flags: Flags, log: Logger): Promise<number> {
  const client = new ApiClient({ access: serverAccess(loadKubeConfig(flags.kubeconfig)), version: VERSION, log });
  const { namespace: namespaces, insecureDiagnostics } = flags;
  const findings = await check({ client, namespaces, lease: leaseOf(flags), insecureDiagnostics });
  return report(findings, (line) => process.stdout.write(`${line}\n`)) ? 0 : 1;
}

async function main(): Promise<void> {
  const flags = parseFlags(process.argv, VERSION);
  const log = createLogger({ verbosity: flags.v, format: flags.loggingFormat });
  const die =
    (message: string) =>
    (error: unknown): never => {
      log.error(message, { error });
      process.exit(1);
    };
  process.on('unhandledRejection', die('a promise was rejected and nobody looked: this is a bug'));
  process.on('uncaughtException', die('an exception was thrown and nobody caught it: this is a bug'));
  if (flags.check) process.exit(await checkOnly(flags, log).catch(die('the check could not be carried out')));
  log.info('starting', { version: VERSION, node: process.version });
  try {
    const operator = await build(flags, log);
    await operator.start();
    const ending = await operator.ended;
    process.exit(ending === 'stopped' ? 0 : 1);
  } catch (error) {
    die('the manager could not start')(error);
  }
}

if (import.meta.main) void main();
