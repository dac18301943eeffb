/** Python's values. int is bigint, float is number, str is string, list is an array, None is null; the others are classes here. */
import { boundedText, Refusal } from './refusal.ts';

export type Value =
  null | boolean | bigint | number | string | Value[] | Tuple | Dict | View | Range | Lazy | Callable | Undefined | Markup | Thing;

/** What cloud-init writes in place of a variable that doesn't exist (its templater.py). */
export const MISSING_PREFIX = 'CI_MISSING_JINJA_VAR/';

export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}

export class Range {
  readonly start: bigint;
  readonly step: bigint;
  readonly length: number;
  readonly stop: bigint;
  constructor(start: bigint, stop: bigint, step: bigint) {
    if (step === 0n) throw new Refusal('range() has a step of 0');
    const span = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    [this.start, this.stop, this.step] = [start, stop, step];
    this.length = span <= 0n ? 0 : Number((span + stride - 1n) / stride);
  }
  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }
  *[Symbol.iterator](): Iterator<bigint> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }
}

/** Keys that Python holds for equal (1, 1.0, True) are one. */
export class Dict {
  readonly #entries = new Map<string, [key: Value, value: Value]>();
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }
  get size(): number {
    return this.#entries.size;
  }
  get(key: Value): Value | undefined {
    return this.#entries.get(hash(key))?.[1];
  }
  set(key: Value, value: Value): void {
    const name = hash(key);
    this.#entries.set(name, [this.#entries.get(name)?.[0] ?? key, value]);
  }
  delete(key: Value): void {
    this.#entries.delete(hash(key));
  }
  /** Of a dict that changes meanwhile Python's iterators end with an error. */
  *entries(): Generator<[Value, Value]> {
    const { size } = this;
    for (const entry of this.#entries.values()) {
      yield entry;
      if (this.size !== size) throw new Refusal('a dict changes its size while a loop goes through it');
    }
  }
  *[Symbol.iterator](): Generator<Value> {
    for (const [key] of this.entries()) yield key;
  }
}

function hash(key: Value): string {
  if (typeof key === 'string') return `s${key}`;
  if (typeof key === 'boolean') return `n${Number(key)}`;
  if (typeof key === 'bigint' || typeof key === 'number') return `n${Number.isInteger(key) ? BigInt(key) : key}`;
  if (key === null) return 'None';
  if (key instanceof Tuple) return boundedText(`t${JSON.stringify(key.items.map(hash))}`);
  throw new Refusal(`a ${typeName(key)} is the key of a dict`);
}

/** What items(), keys() and values() of a dict give. */
export class View {
  readonly kind: 'items' | 'keys' | 'values';
  readonly dict: Dict;
  constructor(kind: View['kind'], dict: Dict) {
    this.kind = kind;
    this.dict = dict;
  }
  *[Symbol.iterator](): Iterator<Value> {
    for (const [key, value] of this.dict.entries())
      yield this.kind === 'items' ? new Tuple([key, value]) : this.kind === 'keys' ? key : value;
  }
}

/** A generator: what is taken from it is gone. */
export class Lazy {
  readonly #iterator: Iterator<Value>;
  constructor(items: Iterable<Value>) {
    this.#iterator = items[Symbol.iterator]();
  }
  next(): IteratorResult<Value, unknown> {
    return this.#iterator.next();
  }
  /** Without return(), so that a loop that ends early leaves the rest. */
  [Symbol.iterator](): Iterator<Value> {
    return { next: () => this.next() };
  }
}

export interface Arguments {
  positional: Value[];
  named: Map<string, Value>;
}

export class Callable {
  readonly call: (given: Arguments) => Value;
  constructor(call: (given: Arguments) => Value) {
    this.call = call;
  }
}

/** An object with attributes of its own: `loop`, a namespace. */
export abstract class Thing {
  abstract attribute(name: string): Value | undefined;
}

/** Text that Jinja takes for HTML. It is written out, and nothing else is done with it: Python would escape what it meets. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** For people: a name may be any text, also one that is secret. */
export const shownName = (name: string): string => (/^[\w-]{1,63}$/.test(name) ? name : 'a name');

/** A name that does not exist, which cloud-init writes out and Jinja refuses to do anything else with. */
export class Undefined {
  readonly #name: string;
  /** Takes the name when it is written out; none: that of an `x if y` without an else. */
  readonly #missing: Set<string> | undefined;
  constructor(name: string, missing?: Set<string>) {
    this.#name = name;
    this.#missing = missing;
  }
  get isImplicitElse(): boolean {
    return this.#missing === undefined;
  }
  write(): string {
    this.#missing?.add(shownName(this.#name));
    return this.isImplicitElse ? '' : MISSING_PREFIX + this.#name;
  }
  refusal(): Refusal {
    return new Refusal(`it does more than write out ${shownName(this.#name)}, which a machine here does not have`);
  }
}

export function typeName(value: Value): string {
  if (value === null) return 'None';
  if (typeof value !== 'object') return { string: 'str', bigint: 'int', number: 'float', boolean: 'bool' }[typeof value as 'string'];
  if (Array.isArray(value)) return 'list';
  const classes = { dict: Dict, tuple: Tuple, range: Range, view: View, generator: Lazy, function: Callable, markup: Markup };
  return Object.entries(classes).find(([, type]) => value instanceof type)?.[0] ?? 'object';
}

export const isNumber = (value: Value): value is boolean | bigint | number => ['boolean', 'bigint', 'number'].includes(typeof value);
export const numeric = (value: boolean | bigint | number): bigint | number => (typeof value === 'boolean' ? BigInt(value) : value);

/** An int, of a place where Python takes no other number. */
export function integer(value: Value | undefined): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return BigInt(value);
  throw mistyped(value, 'an int');
}

export function textOf(value: Value | undefined): string {
  if (typeof value === 'string') return value;
  throw mistyped(value, 'a str');
}

function mistyped(value: Value | undefined, wanted: string): Refusal {
  if (value instanceof Undefined) return value.refusal();
  return new Refusal(`it gives ${value === undefined ? 'nothing' : `a ${typeName(value)}`} where ${wanted} belongs`);
}

export function iterable(value: Value): Iterable<Value> {
  const items = iterableOrNone(value);
  if (items === undefined) throw mistyped(value, 'a list or another sequence');
  return items;
}

export function iterableOrNone(value: Value): Iterable<Value> | undefined {
  if (value instanceof Undefined) return [];
  if (value instanceof Tuple) return value.items;
  return typeof value === 'object' && value !== null && Symbol.iterator in value
    ? value
    : typeof value === 'string'
      ? Array.from(value)
      : undefined;
}

/** Python's len(); none for what has no length. */
export function lengthOrNone(value: Value): number | undefined {
  if (typeof value === 'string') return Array.from(value).length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Dict) return value.size;
  if (value instanceof View) return value.dict.size;
  if (value instanceof Tuple) return value.items.length;
  return Array.isArray(value) || value instanceof Range ? value.length : undefined;
}

export function isTrue(value: Value): boolean {
  if (value instanceof Markup) return value.text !== '';
  if (isNumber(value)) return Number(value) !== 0;
  return value !== null && lengthOrNone(value) !== 0;
}

const isSequence = (value: Value): value is Value[] | Tuple => Array.isArray(value) || value instanceof Tuple;
const itemsOf = (value: Value[] | Tuple): readonly Value[] => (Array.isArray(value) ? value : value.items);

export function equal(left: Value, right: Value): boolean {
  if (left === right) return true;
  if (isNumber(left) && isNumber(right)) return compare(left, right) === 0;
  if (isSequence(left) && isSequence(right) && Array.isArray(left) === Array.isArray(right)) {
    const [mine, other] = [itemsOf(left), itemsOf(right)];
    return mine.length === other.length && mine.every((item, index) => equal(item, other[index] ?? null));
  }
  if (left instanceof Dict && right instanceof Dict) {
    return left.size === right.size && [...left.entries()].every(([key, value]) => equalOrMissing(value, right.get(key)));
  }
  if (left instanceof Undefined && right instanceof Undefined) return left.isImplicitElse === right.isImplicitElse;
  for (const value of [left, right]) {
    if (value instanceof Markup || value instanceof View || value instanceof Range) throw new Refusal(`it compares a ${typeName(value)}`);
  }
  return left === right;
}

const equalOrMissing = (value: Value, other: Value | undefined): boolean => other !== undefined && equal(value, other);

/** Negative, zero or positive. */
export function compare(left: Value, right: Value): number {
  if (isNumber(left) && isNumber(right)) return numeric(left) < numeric(right) ? -1 : numeric(left) > numeric(right) ? 1 : 0;
  if (typeof left === 'string' && typeof right === 'string') return Buffer.compare(Buffer.from(left), Buffer.from(right)); // by code points
  if (isSequence(left) && isSequence(right) && Array.isArray(left) === Array.isArray(right)) {
    const [mine, other] = [itemsOf(left), itemsOf(right)];
    const index = mine.findIndex((item, place) => !equalOrMissing(item, other[place]));
    const [a, b] = [mine[index], other[index]];
    return a === undefined || b === undefined ? mine.length - other.length : compare(a, b);
  }
  for (const value of [left, right]) if (value instanceof Undefined) throw value.refusal();
  throw new Refusal(`it compares a ${typeName(left)} with a ${typeName(right)}`);
}

export function contains(container: Value, value: Value): boolean {
  if (typeof container === 'string') return container.includes(textOf(value));
  if (container instanceof Dict) return container.get(value) !== undefined;
  for (const item of iterable(container)) if (equal(item, value)) return true;
  return false;
}
