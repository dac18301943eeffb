/** Names and their values while a template is evaluated. */
import { Refusal } from './refusal.ts';
import { type Dict, Undefined, type Value } from './values.ts';

/** Nodes of the template evaluated, loops counted as often as they run. A real document takes some hundreds. */
const MAX_STEPS = 200_000;

export class Scope {
  /** Names that do not exist and were written out. */
  readonly missing: Set<string>;
  readonly #parent: Scope | undefined;
  /** Of the outermost: names that come after its own. */
  readonly #instance: Dict | undefined;
  readonly #values = new Map<string, Value>();
  readonly #work: { steps: number };

  private constructor(parent: Scope | undefined, instance?: Dict) {
    this.#parent = parent;
    this.#instance = instance;
    this.missing = parent?.missing ?? new Set();
    this.#work = parent === undefined ? { steps: 0 } : parent.#work;
  }

  static over(instance: Dict): Scope {
    return new Scope(undefined, instance);
  }

  inner(): Scope {
    return new Scope(this);
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  get(name: string): Value {
    const value = this.#values.get(name);
    if (value !== undefined) return value;
    if (this.#parent !== undefined) return this.#parent.get(name);
    const given = this.#instance?.get(name);
    return given === undefined ? new Undefined(name, this.missing) : given;
  }

  step(): void {
    if (++this.#work.steps > MAX_STEPS) throw new Refusal(`it takes more than ${MAX_STEPS} steps`);
  }
}
