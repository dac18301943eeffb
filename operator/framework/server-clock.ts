/** The API server's wall clock, which is the one that stamps objects; this computer's may be wrong, and be set right at any time. */
const SECOND = 1000;

/**
 * Reads it off the Date header of answers (RFC 9110, 6.6.1: whole seconds), and goes on by the process's own clock that never jumps.
 * Before the first answer it is this computer's.
 */
export class ServerClock {
  readonly #monotonic: () => number;
  /** The server's time when the monotonic clock was 0, ms. */
  #origin: number | undefined;

  /** @param monotonic milliseconds */
  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic;
  }

  /** What its own clock says, for `read`. */
  get ticks(): number {
    return this.#monotonic();
  }

  /** @param asked `ticks` when the question went out, so that the answer's time lies between that and now. */
  read(date: string | undefined, asked: number): void {
    const told = Date.parse(date ?? '');
    if (Number.isNaN(told)) return;
    const least = told - this.#monotonic();
    const most = told + SECOND - asked;
    this.#origin = Math.min(Math.max(this.#origin ?? (least + most) / 2, least), most);
  }

  now(): Date {
    return new Date(this.#origin === undefined ? Date.now() : this.#origin + this.#monotonic());
  }
}
