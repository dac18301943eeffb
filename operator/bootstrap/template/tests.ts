/** Jinja's tests: `x is odd`. */
import { type Builtin, builtin, REQUIRED } from './arguments.ts';
import { arithmetic } from './operators.ts';
import { Refusal } from './refusal.ts';
import { str } from './text.ts';
import {
  type Arguments,
  Callable,
  compare,
  contains,
  Dict,
  equal,
  iterableOrNone,
  isNumber,
  isTrue,
  Markup,
  Range,
  Thing,
  Tuple,
  Undefined,
  type Value,
} from './values.ts';

type Test = Builtin<Value>;

const is = (holds: (value: Value) => boolean): Test => builtin({}, holds);
const ofTwo = (holds: (value: Value, other: Value) => boolean): Test =>
  builtin({ 1: REQUIRED }, (value, other = null) => holds(value, other));
const remains = (value: Value, divisor: Value): Value => arithmetic('%', value, divisor);

const [eq, ne] = [ofTwo(equal), ofTwo((value, other) => !equal(value, other))];
const [lt, gt] = [ofTwo((value, other) => compare(value, other) < 0), ofTwo((value, other) => compare(value, other) > 0)];
const [le, ge] = [ofTwo((value, other) => compare(value, other) <= 0), ofTwo((value, other) => compare(value, other) >= 0)];

const TESTS: Record<string, Test> = {
  boolean: is((value) => typeof value === 'boolean'),
  callable: is((value) => value instanceof Callable || value instanceof Undefined),
  defined: is((value) => !(value instanceof Undefined)),
  divisibleby: ofTwo((value, divisor) => equal(remains(value, divisor), 0n)),
  ...{ eq, '==': eq, equalto: eq, ne, '!=': ne, lt, '<': lt, lessthan: lt, gt, '>': gt, greaterthan: gt, le, '<=': le, ge, '>=': ge },
  even: is((value) => equal(remains(value, 2n), 0n)),
  false: is((value) => value === false),
  float: is((value) => typeof value === 'number'),
  in: ofTwo((value, container) => contains(container, value)),
  integer: is((value) => typeof value === 'bigint'),
  iterable: is((value) => iterableOrNone(value) !== undefined),
  lower: is((value) => str(value) === str(value).toLowerCase() && str(value) !== str(value).toUpperCase()),
  mapping: is((value) => value instanceof Dict),
  none: is((value) => value === null),
  number: is(isNumber),
  odd: is((value) => equal(remains(value, 2n), 1n)),
  sequence: is((value) => {
    const isOne = [Dict, Range, Tuple, Undefined].some((type) => value instanceof type);
    return typeof value === 'string' || Array.isArray(value) || isOne;
  }),
  string: is((value) => typeof value === 'string'),
  true: is((value) => value === true),
  undefined: is((value) => value instanceof Undefined),
  upper: is((value) => str(value) === str(value).toUpperCase() && str(value) !== str(value).toLowerCase()),
};

/** A test with its arguments. */
export function testNamed(name: string, given: Arguments): (value: Value) => boolean {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (test === undefined) {
    const isOther = ['escaped', 'filter', 'sameas', 'test'].includes(name);
    throw new Refusal(isOther ? `the test ${name} is not supported` : 'it has a test that Jinja does not have');
  }
  return (value) => {
    if ((value instanceof Markup || value instanceof Thing) && !['defined', 'undefined', 'none'].includes(name)) {
      throw new Refusal(`the test ${name} of such a value is not supported`);
    }
    return isTrue(test(value, given));
  };
}
