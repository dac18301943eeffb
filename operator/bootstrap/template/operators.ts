/** Python's operators and subscriptions. */
import { percentFormatted } from './format.ts';
import { boundedCharacters, boundedElements, boundedInteger, Refusal } from './refusal.ts';
import { integer, isNumber, numeric, Range, textOf, Tuple, typeName, Undefined, type Value } from './values.ts';

export function arithmetic(operator: string, left: Value, right: Value): Value {
  if (operator === '%' && typeof left === 'string') return percentFormatted(left, right);
  for (const value of [left, right]) if (value instanceof Undefined) throw value.refusal();
  if (operator === '*' && !(isNumber(left) && isNumber(right))) return repeated(left, right);
  if (isNumber(left) && isNumber(right)) return computed(operator, numeric(left), numeric(right));
  if (operator === '+') {
    if (typeof left === 'string' && typeof right === 'string') return left + right;
    if (Array.isArray(left) && Array.isArray(right)) return withLength([...left, ...right]);
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple(withLength([...left.items, ...right.items]));
  }
  throw unfit(operator, left, right);
}

const unfit = (operator: string, left: Value, right: Value) =>
  new Refusal(`there is no ${operator} of a ${typeName(left)} and a ${typeName(right)}`);

function withLength(items: Value[]): Value[] {
  boundedElements(items.length);
  return items;
}

function repeated(left: Value, right: Value): Value {
  const [sequence, times] = isNumber(left) ? [right, left] : [left, right];
  if (!isNumber(times) || typeof times === 'number') throw unfit('*', left, right);
  const count = Number(numeric(times) > 0n ? times : 0);
  if (typeof sequence === 'string') return boundedCharacters(sequence.length * count) === 0 ? '' : sequence.repeat(count);
  const items = sequence instanceof Tuple ? sequence.items : sequence;
  if (!Array.isArray(items)) throw unfit('*', left, right);
  const list = items as Value[];
  // Which Python holds once or several times, as Jinja has computed them or not.
  if (list.some((item) => typeof item === 'object' && item !== null)) throw new Refusal('it repeats a list of lists');
  const all = boundedElements(list.length * count) === 0 ? [] : Array.from({ length: count }, () => list).flat();
  return sequence instanceof Tuple ? new Tuple(all) : all;
}

function computed(operator: string, left: bigint | number, right: bigint | number): bigint | number {
  if (['/', '//', '%'].includes(operator) && Number(right) === 0) throw new Refusal('it divides by zero');
  if (typeof left === 'bigint' && typeof right === 'bigint' && operator !== '/') return boundedInteger(ofIntegers(operator, left, right));
  const result = ofFloats(operator, exact(left), exact(right));
  if (!Number.isFinite(result)) throw new Refusal('a float of it is too large');
  return result;
}

function exact(value: bigint | number): number {
  if (typeof value === 'bigint' && BigInt(Number(value)) !== value) throw new Refusal('it takes a large int for a float');
  return Number(value);
}

function ofIntegers(operator: string, left: bigint, right: bigint): bigint {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '//':
      return (left - modulo(left, right)) / right;
    case '%':
      return modulo(left, right);
    default:
      if (right < 0n) throw new Refusal('it raises to a negative power');
      if (left * left > 1n && right * BigInt(left.toString(2).length) > 20_000n) boundedInteger(10n ** 4301n);
      return left ** right;
  }
}

/** With the sign of the divisor. */
const modulo = (left: bigint, right: bigint): bigint => ((left % right) + right) % right;

function ofFloats(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '//':
    case '%': {
      const rest = left % right;
      const mod = rest !== 0 && rest < 0 !== right < 0 ? rest + right : rest === 0 ? 0 * Math.sign(right) : rest;
      return operator === '%' ? mod : Math.round((left - mod) / right);
    }
    default:
      // Libraries of C and JavaScript may differ in the last digit.
      throw new Refusal('it raises a float to a power');
  }
}

export function negative(value: Value): Value {
  if (!isNumber(value)) return arithmetic('-', 0n, value);
  const number = numeric(value);
  return typeof number === 'bigint' ? -number : -number;
}

export interface Slice {
  start: Value;
  stop: Value;
  step: Value;
}

/** The part of a str, list, tuple or range; none for what has no order. */
export function sliced(value: Value, { start, stop, step }: Slice): Value | undefined {
  const items = ordered(value);
  if (items === undefined) return undefined;
  const stride = step === null ? 1 : Number(integer(step));
  if (stride === 0) throw new Refusal('a slice has a step of 0');
  const [first, behind] = stride > 0 ? [0, items.length] : [-1, items.length - 1];
  const place = (bound: Value, otherwise: number) => {
    if (bound === null) return otherwise;
    const index = Number(integer(bound));
    return Math.min(Math.max(index < 0 ? index + items.length : index, first), behind);
  };
  const chosen: Value[] = [];
  const end = place(stop, stride > 0 ? behind : first);
  for (let index = place(start, stride > 0 ? first : behind); stride > 0 ? index < end : index > end; index += stride) {
    chosen.push(items[index] ?? null);
  }
  if (typeof value === 'string') return chosen.map(textOf).join('');
  if (value instanceof Range) throw new Refusal('it takes a slice of a range');
  return value instanceof Tuple ? new Tuple(chosen) : chosen;
}

/** The element of a str, list, tuple or range; none where there is not that many. */
export function elementAt(value: Value, key: bigint): Value | undefined {
  const items = value instanceof Range ? value : ordered(value);
  if (items === undefined) return undefined;
  const index = Number(key < 0n ? key + BigInt(items.length) : key);
  if (index < 0 || index >= items.length) return undefined;
  return items instanceof Range ? items.at(index) : items[index];
}

function ordered(value: Value): readonly Value[] | undefined {
  if (typeof value === 'string') return Array.from(value);
  if (value instanceof Tuple) return value.items;
  if (value instanceof Range) return Array.from({ length: boundedElements(value.length) }, (_, index) => value.at(index));
  return Array.isArray(value) ? value : undefined;
}
