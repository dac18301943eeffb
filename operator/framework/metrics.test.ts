import { createMetrics } from './metrics.ts';

test('has the names and labels of controller-runtime', async () => {
  const metrics = createMetrics();
  metrics.maxWorkers('remotemachine', 10);
  metrics.reconcileStarted('remotemachine');
  metrics.reconcileStarted('remotemachine');
  metrics.reconcileEnded('remotemachine', 'error', 0.02);
  const queue = metrics.queue('remotemachine');
  queue.added();
  queue.retried();
  queue.waited(0.5);
  queue.worked(2);
  queue.depth(() => 3);
  queue.oldest(() => 4);
  queue.unfinished(() => 1.5);
  queue.longest(() => 1.25);
  metrics.clientRequest('GET', 200);
  metrics.clientRequest('PATCH', '<error>');
  metrics.leader('manager', true);
  const lines = (await metrics.registry.metrics()).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      'controller_runtime_reconcile_total{controller="remotemachine",result="error"} 1',
      'controller_runtime_reconcile_errors_total{controller="remotemachine"} 1',
      'controller_runtime_reconcile_time_seconds_bucket{le="0.025",controller="remotemachine"} 1',
      'controller_runtime_active_workers{controller="remotemachine"} 1',
      'controller_runtime_max_concurrent_reconciles{controller="remotemachine"} 10',
      'workqueue_depth{name="remotemachine"} 3',
      'workqueue_adds_total{name="remotemachine"} 1',
      'workqueue_retries_total{name="remotemachine"} 1',
      'workqueue_queue_duration_seconds_sum{name="remotemachine"} 0.5',
      'workqueue_work_duration_seconds_sum{name="remotemachine"} 2',
      'workqueue_oldest_item_seconds{name="remotemachine"} 4',
      'workqueue_unfinished_work_seconds{name="remotemachine"} 1.5',
      'workqueue_longest_running_processor_seconds{name="remotemachine"} 1.25',
      'rest_client_requests_total{method="GET",code="200"} 1',
      'rest_client_requests_total{method="PATCH",code="<error>"} 1',
      'leader_election_master_status{name="manager"} 1',
    ]),
  );
  expect(lines.some((line) => line.startsWith('process_cpu_seconds_total'))).toBe(true);
  expect(lines.some((line) => line.startsWith('nodejs_heap_size_used_bytes'))).toBe(true);
});

test('works where nobody is elected, and while it leads', () => {
  const metrics = createMetrics();
  expect(metrics.works()).toBe(true);
  metrics.leader('manager', false);
  expect(metrics.works()).toBe(false);
  metrics.leader('manager', true);
  expect(metrics.works()).toBe(true);
});
