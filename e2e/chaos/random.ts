/** Choices that a seed decides: the same seed makes the same ones, in the same order. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

export class Random {
  readonly #generator: ReturnType<typeof xoroshiro128plus>;

  constructor(seed: number) {
    this.#generator = xoroshiro128plus(seed);
  }

  /** From `low` to `high`, both among them. */
  integer(low: number, high: number): number {
    return uniformInt(this.#generator, low, high);
  }

  of<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('nothing to choose from');
    return choices[this.integer(0, choices.length - 1)] as T;
  }
}
