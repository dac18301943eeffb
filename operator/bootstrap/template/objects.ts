/** What templates find without an instance: `loop`, and Jinja's global functions. */
import { entriesOf } from './methods.ts';
import { boundedElements, Refusal } from './refusal.ts';
import { Callable, Dict, integer, Range, Thing, Undefined, type Value } from './values.ts';

/** Elements that range() may have. */
const MAX_RANGE = 10_000;

/** Reads ahead only where it is asked for what comes next, as in Jinja. */
export class Loop extends Thing {
  #iterator: Iterator<Value>;
  readonly #missing: Set<string>;
  #length: number | undefined;
  #index = -1;
  #ahead: Value | undefined;
  #current: Value | undefined;
  #before: Value | undefined;

  constructor(items: Iterable<Value>, length: number | undefined, missing: Set<string>) {
    super();
    this.#iterator = items[Symbol.iterator]();
    this.#length = length;
    this.#missing = missing;
  }

  next(): IteratorResult<Value, unknown> {
    const next = this.#ahead === undefined ? this.#iterator.next() : { value: this.#ahead };
    if (next.done === true) return next;
    [this.#before, this.#current, this.#ahead] = [this.#current, next.value, undefined];
    this.#index++;
    return next;
  }

  #peek(): Value | undefined {
    if (this.#ahead === undefined) {
      const next = this.#iterator.next();
      if (next.done !== true) this.#ahead = next.value;
    }
    return this.#ahead;
  }

  #count(): number {
    if (this.#length !== undefined) return this.#length;
    const rest: Value[] = [];
    for (let next = this.#iterator.next(); next.done !== true; next = this.#iterator.next()) boundedElements(rest.push(next.value));
    this.#iterator = rest[Symbol.iterator]();
    return (this.#length = rest.length + this.#index + 1 + (this.#ahead === undefined ? 0 : 1));
  }

  attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(this.#index + 1);
      case 'index0':
        return BigInt(this.#index);
      case 'first':
        return this.#index === 0;
      case 'last':
        return this.#peek() === undefined;
      case 'length':
        return BigInt(this.#count());
      case 'revindex':
        return BigInt(this.#count() - this.#index);
      case 'revindex0':
        return BigInt(this.#count() - this.#index - 1);
      case 'previtem':
        return this.#before ?? (this.#index > 0 ? null : new Undefined('None', this.#missing));
      case 'nextitem': {
        const next = this.#peek();
        return next === undefined ? new Undefined('None', this.#missing) : next;
      }
      case 'cycle':
        return new Callable(({ positional }) => {
          const value = positional[this.#index % positional.length];
          if (value === undefined) throw new Refusal('cycle() has nothing to choose from');
          return value;
        });
      case 'changed':
      case 'depth':
      case 'depth0':
        throw new Refusal(`loop.${name} is not supported`);
      default:
        return undefined;
    }
  }
}

export class Namespace extends Thing {
  readonly #values = new Dict();
  constructor(entries: [Value, Value][]) {
    super();
    for (const [name, value] of entries) this.#values.set(name, value);
  }
  attribute(name: string): Value | undefined {
    return this.#values.get(name);
  }
  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }
}

function range(...given: Value[]): Range {
  const [start = 0n, stop = 0n, step = 1n] = given.length === 1 ? [0n, ...given.map(integer)] : given.map(integer);
  if (given.length === 0 || given.length > 3) throw new Refusal('range() takes one to three arguments');
  const made = new Range(start, stop, step);
  if (made.length > MAX_RANGE) throw new Refusal(`range() gives more than ${MAX_RANGE} elements`);
  return made;
}

const refused = (name: string): Callable =>
  new Callable(() => {
    throw new Refusal(`the function ${name} is not supported`);
  });

export const globals = (): Record<string, Value> => ({
  range: new Callable(({ positional }) => range(...positional)),
  dict: new Callable((given) => new Dict(entriesOf(given))),
  namespace: new Callable((given) => new Namespace(entriesOf(given))),
  cycler: refused('cycler'),
  joiner: refused('joiner'),
  lipsum: refused('lipsum'),
});
