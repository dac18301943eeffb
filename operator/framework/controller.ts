import type { Metrics } from './metrics.ts';
import type { WorkQueue } from './queue.ts';
import type { Logger, Reconciler } from './types.ts';

export interface ControllerOptions {
  name: string;
  reconciler: Reconciler;
  concurrency: number;
  log: Logger;
  metrics: Metrics;
  /** Not set: a queue of its own with the usual backoff. */
  queue?: WorkQueue;
}
export declare class Controller {
  constructor(options: ControllerOptions);
  readonly name: string;
  readonly queue: WorkQueue;
  /** Works until the signal aborts; resolves when all workers ended. Never rejects. */
  start(signal: AbortSignal): Promise<void>;
}
