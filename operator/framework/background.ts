/** Work that a reconcile must not wait for. A reconcile asks for a task by key and id as often as it likes and reads how it stands. */

export type TaskState<P, R> =
  { phase: 'queued' } | { phase: 'running'; progress?: P } | { phase: 'done'; result: R } | { phase: 'failed'; error: unknown };

export interface TaskHandle<P> {
  /** Aborted when the task is to end: another id came under its key, abort, or shutDown. */
  signal: AbortSignal;
  /** Shows progress in the task's state. */
  report(progress: P): void;
}

export interface BackgroundOptions {
  /** How many tasks may hold the limit of that name at once (total, a host, a bastion). */
  slots: (limit: string) => number;
  /** Called when the task of a key starts, reports and ends; not when it was aborted. */
  onChange: (key: string) => void;
}

interface Task<P, R> {
  key: string;
  id: string;
  limits: readonly string[];
  work: (task: TaskHandle<P>) => Promise<R>;
  stop: AbortController;
  state: TaskState<P, R>;
  /** Settled when the work ended. Set once it runs. */
  ended: Promise<void> | undefined;
}

export class BackgroundTasks<P, R> {
  readonly #options: BackgroundOptions;
  /** The task that counts of each key. */
  readonly #tasks = new Map<string, Task<P, R>>();
  /** Not started yet, oldest first. */
  readonly #queue = new Set<Task<P, R>>();
  /** Running by key, also those that were aborted and have not ended yet. */
  readonly #running = new Map<string, Task<P, R>>();
  readonly #used = new Map<string, number>();
  #closed = false;

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  /** Tasks that wait for their slots. */
  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * The state of task `id` of `key`; the task is started if it is not there. A task of another id under the key is aborted, and this
   * one starts when that one ended. A task runs when it has a slot of every limit; while it waits it holds none. Of those that could
   * run the oldest goes first.
   */
  ensure(key: string, id: string, limits: readonly string[], work: (task: TaskHandle<P>) => Promise<R>): TaskState<P, R> {
    const present = this.#tasks.get(key);
    if (present?.id === id) return present.state;
    if (present !== undefined) this.#drop(present);
    const names = [...new Set(limits)];
    const task: Task<P, R> = { key, id, limits: names, work, stop: new AbortController(), state: { phase: 'queued' }, ended: undefined };
    if (this.#closed) return task.state;
    this.#tasks.set(key, task);
    this.#queue.add(task);
    this.#startIfFree(task);
    return task.state;
  }

  peek(key: string): { id: string; state: TaskState<P, R> } | undefined {
    const task = this.#tasks.get(key);
    return task === undefined ? undefined : { id: task.id, state: task.state };
  }

  /** Drops a task that ended; another one stays. */
  forget(key: string): void {
    const phase = this.#tasks.get(key)?.state.phase;
    if (phase === 'done' || phase === 'failed') this.#tasks.delete(key);
  }

  /** Aborts the task of the key, waits until its work ended, and drops it: ensure would start it anew. */
  async abort(key: string): Promise<void> {
    const task = this.#tasks.get(key);
    if (task !== undefined) this.#drop(task);
    await this.#running.get(key)?.ended;
  }

  /** Aborts everything and waits until all work ended. Nothing starts after it. */
  async shutDown(): Promise<void> {
    this.#closed = true;
    for (const task of this.#tasks.values()) this.#drop(task);
    for (const task of [...this.#running.values()]) await task.ended;
  }

  #drop(task: Task<P, R>): void {
    this.#tasks.delete(task.key);
    this.#queue.delete(task);
    task.stop.abort(new Error(`task ${task.id} was aborted`));
  }

  #startIfFree(task: Task<P, R>): void {
    if (this.#running.has(task.key) || task.limits.some((limit) => this.#isFull(limit))) return;
    this.#queue.delete(task);
    this.#running.set(task.key, task);
    for (const limit of task.limits) this.#used.set(limit, (this.#used.get(limit) ?? 0) + 1);
    task.state = { phase: 'running' };
    task.ended = this.#run(task);
  }

  #isFull(limit: string): boolean {
    return (this.#used.get(limit) ?? 0) >= this.#options.slots(limit);
  }

  async #run(task: Task<P, R>): Promise<void> {
    // The caller of ensure reads the state first.
    await Promise.resolve();
    this.#notify(task);
    const report = (progress: P): void => {
      if (task.state.phase !== 'running') return;
      task.state = { phase: 'running', progress };
      this.#notify(task);
    };
    try {
      if (!task.stop.signal.aborted) task.state = { phase: 'done', result: await task.work({ signal: task.stop.signal, report }) };
    } catch (error) {
      task.state = { phase: 'failed', error };
    }
    this.#release(task);
    this.#notify(task);
  }

  #release(task: Task<P, R>): void {
    this.#running.delete(task.key);
    for (const limit of task.limits) {
      const left = (this.#used.get(limit) ?? 0) - 1;
      if (left > 0) this.#used.set(limit, left);
      else this.#used.delete(limit);
    }
    for (const waiting of this.#queue) this.#startIfFree(waiting);
  }

  /** Of a task that was replaced or aborted nobody wants to hear. */
  #notify(task: Task<P, R>): void {
    if (this.#tasks.get(task.key) === task) this.#options.onChange(task.key);
  }
}
