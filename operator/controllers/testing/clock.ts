/** The steady clock of the process, stopped for a test: waits pass when the test says so, however slow the machine is. */
export class StoppedClock implements Disposable {
  #now = 1_000_000;
  readonly #spy = jest.spyOn(performance, 'now').mockImplementation(() => this.#now);

  pass(milliseconds = 0): void {
    this.#now += milliseconds;
  }

  [Symbol.dispose](): void {
    this.#spy.mockRestore();
  }
}
