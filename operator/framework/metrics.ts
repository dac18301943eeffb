import type { Registry } from 'prom-client';

export interface QueueMetrics {
  added(): void;
  retried(): void;
  /** Seconds. */
  waited(seconds: number): void;
  worked(seconds: number): void;
  depth(read: () => number): void;
  unfinished(read: () => number): void;
}
export type ReconcileOutcome = 'success' | 'requeue_after' | 'requeue' | 'error';
export interface Metrics {
  registry: Registry;
  queue(name: string): QueueMetrics;
  maxWorkers(controller: string, count: number): void;
  reconcileStarted(controller: string): void;
  reconcileEnded(controller: string, outcome: ReconcileOutcome, seconds: number): void;
  clientRequest(method: string, code: number | string): void;
  leader(name: string, leads: boolean): void;
}
export declare function createMetrics(): Metrics;
