/** Prometheus metrics under the names that controller-runtime and client-go use, so that dashboards and alerts fit. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export type ReconcileOutcome = 'success' | 'requeue_after' | 'requeue' | 'error';

/** Measurements of one work queue. Times in seconds. */
export interface QueueMetrics {
  added(): void;
  retried(): void;
  waited(seconds: number): void;
  worked(seconds: number): void;
  /** `read` is called at each scrape. */
  depth(read: () => number): void;
  /** Seconds that the key has waited which waits longest; 0 where none does. */
  oldest(read: () => number): void;
  unfinished(read: () => number): void;
  /** Seconds of the reconcile that runs longest. */
  longest(read: () => number): void;
}

export interface Metrics {
  readonly registry: Registry;
  queue(name: string): QueueMetrics;
  maxWorkers(controller: string, count: number): void;
  reconcileStarted(controller: string): void;
  reconcileEnded(controller: string, outcome: ReconcileOutcome, seconds: number): void;
  /** `code` is the HTTP status, or `<error>` without an answer. */
  clientRequest(method: string, code: number | '<error>'): void;
  leader(name: string, leads: boolean): void;
  /** Whether this manager works: it leads, or nobody is elected. */
  readonly works: () => boolean;
}

const RECONCILE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const QUEUE_BUCKETS = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1000];

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Number of HTTP requests, partitioned by status code and method.',
    labelNames: ['code', 'method'],
    registers,
  });
  const leader = new Gauge({
    name: 'leader_election_master_status',
    help: 'Whether this process is the leader: 1 leader, or nobody is elected; 0 standby.',
    labelNames: ['name'],
    registers,
  });
  let works = true;
  return {
    registry,
    queue: queueMetrics(registers),
    ...reconcileMetrics(registers),
    clientRequest: (method, code) => requests.inc({ method, code: String(code) }),
    leader: (name, leads) => {
      works = leads;
      leader.set({ name }, leads ? 1 : 0);
    },
    works: () => works,
  };
}

function reconcileMetrics(registers: Registry[]): Pick<Metrics, 'maxWorkers' | 'reconcileStarted' | 'reconcileEnded'> {
  const total = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Total number of reconciliations per controller.',
    labelNames: ['controller', 'result'],
    registers,
  });
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Total number of reconciliation errors per controller.',
    labelNames: ['controller'],
    registers,
  });
  const time = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'Length of time per reconciliation per controller.',
    labelNames: ['controller'],
    buckets: RECONCILE_BUCKETS,
    registers,
  });
  const gauge = (name: string, help: string) => new Gauge({ name, help, labelNames: ['controller'], registers });
  const active = gauge('controller_runtime_active_workers', 'Number of currently used workers per controller.');
  const max = gauge('controller_runtime_max_concurrent_reconciles', 'Maximum number of concurrent reconciles per controller.');
  return {
    maxWorkers: (controller, count) => {
      max.set({ controller }, count);
      active.set({ controller }, 0);
      errors.inc({ controller }, 0);
    },
    reconcileStarted: (controller) => active.inc({ controller }),
    reconcileEnded: (controller, result, seconds) => {
      active.dec({ controller });
      total.inc({ controller, result });
      if (result === 'error') errors.inc({ controller });
      time.observe({ controller }, seconds);
    },
  };
}

function queueMetrics(registers: Registry[]): (name: string) => QueueMetrics {
  const labelNames = ['name'];
  const counter = (name: string, help: string) => new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string) => new Histogram({ name, help, labelNames, buckets: QUEUE_BUCKETS, registers });
  const read = (name: string, help: string) => readGauge(name, help, registers);
  const adds = counter('workqueue_adds_total', 'Total number of adds handled by workqueue.');
  const retries = counter('workqueue_retries_total', 'Total number of retries handled by workqueue.');
  const waits = histogram('workqueue_queue_duration_seconds', 'How long in seconds an item stays in workqueue before being requested.');
  const works = histogram('workqueue_work_duration_seconds', 'How long in seconds processing an item from workqueue takes.');
  const depths = read('workqueue_depth', 'Current depth of workqueue.');
  const oldest = read('workqueue_oldest_item_seconds', 'How many seconds the item that waits longest in workqueue has waited.');
  const unfinished = read('workqueue_unfinished_work_seconds', 'Seconds of work in progress that work_duration has not observed yet.');
  const longest = read('workqueue_longest_running_processor_seconds', 'How many seconds the longest running processor has been running.');
  return (name) => ({
    added: () => adds.inc({ name }),
    retried: () => retries.inc({ name }),
    waited: (seconds) => waits.observe({ name }, seconds),
    worked: (seconds) => works.observe({ name }, seconds),
    depth: (value) => void depths.set(name, value),
    oldest: (value) => void oldest.set(name, value),
    unfinished: (value) => void unfinished.set(name, value),
    longest: (value) => void longest.set(name, value),
  });
}

/** One whose value for each queue is read when it is asked for. */
function readGauge(name: string, help: string, registers: Registry[]): Map<string, () => number> {
  const reads = new Map<string, () => number>();
  new Gauge({
    name,
    help,
    labelNames: ['name'],
    registers,
    collect() {
      for (const [queue, read] of reads) this.set({ name: queue }, read());
    },
  });
  return reads;
}
