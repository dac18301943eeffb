export type TaskState<P, R> =
  { phase: 'queued' } | { phase: 'running'; progress?: P } | { phase: 'done'; result: R } | { phase: 'failed'; error: unknown };
export interface TaskHandle<P> {
  signal: AbortSignal;
  report(progress: P): void;
}
export interface BackgroundOptions {
  /** Slots of the semaphore of that name. */
  slots: (limit: string) => number;
  onChange: (key: string) => void;
}
export declare class BackgroundTasks<P, R> {
  constructor(options: BackgroundOptions);
  ensure(key: string, id: string, limits: readonly string[], work: (task: TaskHandle<P>) => Promise<R>): TaskState<P, R>;
  peek(key: string): { id: string; state: TaskState<P, R> } | undefined;
  forget(key: string): void;
  abort(key: string): Promise<void>;
  shutDown(): Promise<void>;
}
