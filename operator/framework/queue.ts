import type { QueueMetrics } from './metrics.ts';
import type { Enqueue, Request } from './types.ts';

export interface QueueOptions {
  metrics?: QueueMetrics;
  /** Milliseconds of the first and the longest wait of addRateLimited. */
  backoff?: { base: number; max: number };
}
export declare class WorkQueue implements Enqueue {
  constructor(options?: QueueOptions);
  readonly length: number;
  add(request: Request): void;
  addAfter(request: Request, milliseconds: number): void;
  addRateLimited(request: Request): void;
  forget(request: Request): void;
  /** The next key to work on; undefined after shutDown. */
  get(): Promise<Request | undefined>;
  done(request: Request): void;
  shutDown(): void;
}
