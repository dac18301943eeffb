/** Workers that take keys off a queue and reconcile them. What a Reconciler promises and may rely on stands in types.ts. */
import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Metrics, ReconcileOutcome } from './metrics.ts';
import { WorkQueue } from './queue.ts';
import { ApiError, isConflict, type Logger, type Reconciler, type Request, type Result } from './types.ts';

export interface ControllerOptions {
  /** In logs and metrics; the kind in lower case. */
  name: string;
  reconciler: Reconciler;
  /** Keys reconciled at the same time. */
  concurrency: number;
  log: Logger;
  metrics: Metrics;
  /**
   * Called when work begins, to have the queue told of what is there and of what changes. Not before, as in controller-runtime: the
   * queue of a manager that stands by would only grow, and tell of a wait that nobody has.
   */
  sources?: (queue: WorkQueue) => void;
  /** Not set: a queue of its own with the usual backoff. */
  queue?: WorkQueue;
}

type Ended =
  { kind: 'done' } | { kind: 'later'; after: number } | { kind: 'conflict' } | { kind: 'stopped' } | { kind: 'failed'; error: unknown };

export class Controller {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly #options: ControllerOptions;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.name = options.name;
    this.queue = options.queue ?? new WorkQueue({ metrics: options.metrics.queue(options.name) });
    options.metrics.maxWorkers(this.name, options.concurrency);
  }

  /** Works until the signal aborts, then lets the reconciles that run come to their end. Never rejects. */
  async start(signal: AbortSignal): Promise<void> {
    const shutDown = (): void => this.queue.shutDown();
    if (signal.aborted) shutDown();
    signal.addEventListener('abort', shutDown, { once: true });
    this.#options.sources?.(this.queue);
    await Promise.all(Array.from({ length: this.#options.concurrency }, () => this.#work(signal)));
    signal.removeEventListener('abort', shutDown);
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let request = await this.queue.get(); request !== undefined; request = await this.queue.get()) {
      const { metrics } = this.#options;
      const start = performance.now();
      metrics.reconcileStarted(this.name);
      const log = this.#options.log.child({ controller: this.name, ...request, reconcileID: randomUUID() });
      const outcome = this.#settle(request, await this.#reconcile(request, log, signal), log);
      const seconds = (performance.now() - start) / 1000;
      metrics.reconcileEnded(this.name, outcome, seconds);
      log.debug('reconciled', { outcome, seconds });
      this.queue.done(request);
      // Ten thousand that find nothing to do would otherwise keep probes and the lease waiting until the last is done.
      await turn();
    }
  }

  async #reconcile(request: Request, log: Logger, signal: AbortSignal): Promise<Ended> {
    try {
      const result: Result | void = await this.#options.reconciler.reconcile(request, { log, signal });
      return result?.requeueAfter === undefined ? { kind: 'done' } : { kind: 'later', after: result.requeueAfter };
    } catch (error) {
      if (signal.aborted) return { kind: 'stopped' };
      return isConflict(error) ? { kind: 'conflict' } : { kind: 'failed', error };
    }
  }

  /** What follows from how a reconcile ended. */
  #settle(request: Request, ended: Ended, log: Logger): ReconcileOutcome {
    switch (ended.kind) {
      case 'done':
        this.queue.forget(request);
        return 'success';
      case 'later':
        this.queue.forget(request);
        this.queue.addAfter(request, ended.after);
        return 'requeue_after';
      case 'conflict':
        log.debug('the object changed meanwhile: reconciling again');
        this.queue.addRateLimited(request);
        return 'requeue';
      case 'stopped':
        log.debug('reconcile ended by the stop of the manager');
        return 'requeue';
      case 'failed':
        log.error('reconcile failed', { error: ended.error });
        this.queue.addRateLimited(request, ended.error instanceof ApiError ? ended.error.retryAfter : 0);
        return 'error';
    }
  }
}
