/** A promise that settles as `start` makes it, unless the signal comes first: then it rejects with the signal's reason. */
export function abortable<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal.throwIfAborted();
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    const settle =
      <V>(then: (value: V) => void) =>
      (value: V): void => {
        signal.removeEventListener('abort', abort);
        then(value);
      };
    start(settle(resolve), settle(reject));
  });
}

/** A signal that follows `parent` and aborts with `reason()` after `timeout` milliseconds. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #follow = (): void => this.#controller.abort(this.#parent.reason);

  constructor(parent: AbortSignal, timeout: number, reason: () => Error) {
    this.#parent = parent;
    this.#timer = setTimeout(() => this.#controller.abort(reason()), timeout);
    if (parent.aborted) this.#follow();
    else parent.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Forgets the timer and the parent. */
  end(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener('abort', this.#follow);
  }
}
