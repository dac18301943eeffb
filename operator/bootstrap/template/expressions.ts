/** Jinja's grammar of expressions; each becomes a function that evaluates it. */
import { item, member } from './access.ts';
import { applyFilter, filterNamed } from './filters.ts';
import type { Token } from './lexer.ts';
import { arithmetic, negative, type Slice, sliced } from './operators.ts';
import { boundedCharacters, Refusal } from './refusal.ts';
import type { Scope } from './scope.ts';
import { testNamed } from './tests.ts';
import { str } from './text.ts';
import { type Arguments, Callable, compare, contains, Dict, equal, isNumber, isTrue, Tuple, Undefined, type Value } from './values.ts';

export type Expression = (scope: Scope) => Value;
export type Assign = (scope: Scope, value: Value) => void;
type ArgumentsOf = (scope: Scope) => Arguments;

/** Counts the work of a node, and gives its failures its line. */
export function at<Result extends Value>(line: number, evaluate: (scope: Scope) => Result): (scope: Scope) => Result {
  return (scope) => {
    try {
      scope.step();
      const value = evaluate(scope);
      if (typeof value === 'string') boundedCharacters(value.length);
      return value;
    } catch (error) {
      if (error instanceof Refusal) error.line ??= line;
      throw error;
    }
  };
}

const CONSTANTS: Record<string, Value> = { true: true, True: true, false: false, False: false, none: null, None: null };

/** What Jinja knows in places only. */
const IN_MACROS = new Set(['caller', 'kwargs', 'self', 'super', 'varargs']);

const COMPARISONS: Record<string, (left: Value, right: Value) => boolean> = {
  '==': equal,
  '!=': (left, right) => !equal(left, right),
  '<': (left, right) => compare(left, right) < 0,
  '<=': (left, right) => compare(left, right) <= 0,
  '>': (left, right) => compare(left, right) > 0,
  '>=': (left, right) => compare(left, right) >= 0,
  in: (left, right) => contains(right, left),
  'not in': (left, right) => !contains(right, left),
};

export class ExpressionParser {
  readonly #tokens: Token[];
  #position = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  protected get current(): Token {
    return this.#ahead(0);
  }

  #ahead(count: number): Token {
    return this.#tokens[Math.min(this.#position + count, this.#tokens.length - 1)] ?? { kind: 'end', value: '', line: 1 };
  }

  protected next(): Token {
    const token = this.current;
    this.#position++;
    return token;
  }

  protected is(kind: Token['kind'], ...values: string[]): boolean {
    return this.current.kind === kind && (values.length === 0 || values.includes(this.current.value));
  }

  protected skip(kind: Token['kind'], ...values: string[]): boolean {
    const found = this.is(kind, ...values);
    if (found) this.#position++;
    return found;
  }

  protected expect(kind: Token['kind'], ...values: string[]): Token {
    if (!this.is(kind, ...values)) throw this.failure();
    return this.next();
  }

  protected failure(what = 'it has a syntax error'): Refusal {
    return new Refusal(this.current.kind === 'end' ? 'a block of it is not closed' : what, this.current.line);
  }

  /** One expression, or several with commas: a tuple. */
  protected tuple(parse = () => this.expression(), inParentheses = false): Expression {
    const { line } = this.current;
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.is('}}') && !this.is('%}') && !this.is('operator', ')')) {
      items.push(parse());
      if (!this.skip('operator', ',')) break;
      isTuple = true;
    }
    const [first] = items;
    if (first !== undefined && !isTuple) return first;
    if (!isTuple && !inParentheses) throw this.failure();
    return at(line, (scope) => new Tuple(items.map((evaluate) => evaluate(scope))));
  }

  protected expression(): Expression {
    let value = this.condition();
    while (this.is('name', 'if')) {
      const { line } = this.next();
      const [chosen, condition] = [value, this.condition()];
      const otherwise = this.skip('name', 'else') ? this.expression() : () => new Undefined('');
      value = at(line, (scope) => (isTrue(condition(scope)) ? chosen(scope) : otherwise(scope)));
    }
    return value;
  }

  /** An expression that is no `x if y`. */
  protected condition(): Expression {
    return this.#logical('or', () => this.#logical('and', () => this.#not()));
  }

  #logical(operator: 'or' | 'and', parse: () => Expression): Expression {
    let value = parse();
    while (this.is('name', operator)) {
      const { line } = this.next();
      const [left, right] = [value, parse()];
      value = at(line, (scope) => {
        const first = left(scope);
        return isTrue(first) === (operator === 'or') ? first : right(scope);
      });
    }
    return value;
  }

  #not(): Expression {
    if (!this.is('name', 'not')) return this.#comparison();
    const { line } = this.next();
    const value = this.#not();
    return at(line, (scope) => !isTrue(value(scope)));
  }

  #comparison(): Expression {
    const { line } = this.current;
    const first = this.#sum();
    const others: [holds: (left: Value, right: Value) => boolean, value: Expression][] = [];
    for (;;) {
      const isNotIn = this.is('name', 'not') && this.#ahead(1).kind === 'name' && this.#ahead(1).value === 'in';
      if (isNotIn) this.next();
      if (!isNotIn && !this.is('name', 'in') && !(this.is('operator') && Object.hasOwn(COMPARISONS, this.current.value))) break;
      const holds = COMPARISONS[isNotIn ? 'not in' : this.current.value];
      this.next();
      if (holds !== undefined) others.push([holds, this.#sum()]);
    }
    if (others.length === 0) return first;
    return at(line, (scope) => {
      let left = first(scope);
      return others.every(([holds, value]) => {
        const right = value(scope);
        const held = holds(left, right);
        left = right;
        return held;
      });
    });
  }

  #binary(operators: string[], parse: () => Expression): Expression {
    let value = parse();
    while (this.is('operator', ...operators)) {
      const { line, value: operator } = this.next();
      const [left, right] = [value, parse()];
      value = at(line, (scope) => arithmetic(operator, left(scope), right(scope)));
    }
    return value;
  }

  #sum = (): Expression => this.#binary(['+', '-'], this.#concatenation);

  #concatenation = (): Expression => {
    const { line } = this.current;
    const parts = [this.#product()];
    while (this.skip('operator', '~')) parts.push(this.#product());
    const [first] = parts;
    return first !== undefined && parts.length === 1 ? first : at(line, (scope) => parts.map((part) => str(part(scope))).join(''));
  };

  #product = (): Expression => this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary()));

  #unary(withFilters = true): Expression {
    const { line } = this.current;
    let value: Expression;
    if (this.is('operator', '-', '+')) {
      const isNegative = this.next().value === '-';
      const operand = this.#unary(false);
      value = at(line, (scope) => {
        const number = operand(scope);
        return isNegative || !isNumber(number) ? negative(number) : arithmetic('+', 0n, number);
      });
    } else {
      value = this.#primary();
    }
    value = this.#postfix(value);
    while (withFilters) {
      if (this.is('operator', '|')) value = this.filters(value);
      else if (this.is('name', 'is')) value = this.#test(value);
      else if (this.is('operator', '(')) value = this.#call(value);
      else break;
    }
    return value;
  }

  #primary(): Expression {
    const token = this.next();
    const { line, value } = token;
    switch (token.kind) {
      case 'name': {
        if (Object.hasOwn(CONSTANTS, value)) return () => CONSTANTS[value] ?? null;
        if (IN_MACROS.has(value)) throw new Refusal(`the name ${value} is not supported`, line);
        return at(line, (scope) => scope.get(value));
      }
      case 'string': {
        let text = value;
        while (this.is('string')) text += this.next().value;
        return () => text;
      }
      case 'integer': {
        const number = BigInt(value.replaceAll('_', ''));
        return () => number;
      }
      case 'float': {
        const number = Number(value.replaceAll('_', ''));
        if (!Number.isFinite(number)) throw new Refusal('a float of it is too large', line);
        return () => number;
      }
      default: {
        if (token.kind === 'operator' && value === '(') {
          const inner = this.tuple(undefined, true);
          this.expect('operator', ')');
          return inner;
        }
        if (token.kind === 'operator' && value === '[') {
          const items = this.#list(']', () => this.expression());
          return at(line, (scope) => items.map((evaluate) => evaluate(scope)));
        }
        if (token.kind === 'operator' && value === '{') {
          const entries = this.#list('}', () => [this.expression(), (this.expect('operator', ':'), this.expression())] as const);
          return at(line, (scope) => new Dict(entries.map(([key, entry]) => [key(scope), entry(scope)])));
        }
        this.#position--;
        throw this.failure();
      }
    }
  }

  /** What stands up to a closing bracket, whose last comma may be one too many. */
  #list<Item>(closing: string, parse: () => Item): Item[] {
    const items: Item[] = [];
    while (!this.is('operator', closing)) {
      items.push(parse());
      if (!this.is('operator', closing)) this.expect('operator', ',');
    }
    this.next();
    return items;
  }

  #postfix(start: Expression): Expression {
    let value = start;
    for (;;) {
      const object = value;
      if (this.is('operator', '.')) {
        const { line } = this.next();
        if (this.is('integer')) {
          const index = BigInt(this.next().value);
          value = at(line, (scope) => item(object(scope), index, scope.missing));
        } else {
          const name = this.expect('name').value;
          value = at(line, (scope) => member(object(scope), name, scope.missing));
        }
      } else if (this.is('operator', '[')) {
        value = this.#subscript(object);
      } else if (this.is('operator', '(')) {
        value = this.#call(object);
      } else {
        return value;
      }
    }
  }

  #subscript(object: Expression): Expression {
    const { line } = this.next();
    const part = () => (this.is('operator', ':', ']') ? () => null : this.expression());
    const start = this.is('operator', ']') ? this.expression() : part();
    if (!this.skip('operator', ':')) {
      this.expect('operator', ']');
      return at(line, (scope) => item(object(scope), start(scope), scope.missing));
    }
    const stop = part();
    const step = this.skip('operator', ':') ? part() : () => null;
    this.expect('operator', ']');
    return at(line, (scope) => {
      const value = object(scope);
      if (value instanceof Undefined) throw value.refusal();
      const slice: Slice = { start: start(scope), stop: stop(scope), step: step(scope) };
      const taken = sliced(value, slice);
      if (taken === undefined) throw new Refusal('it takes a slice of what has no order');
      return taken;
    });
  }

  #call(callee: Expression): Expression {
    const { line } = this.current;
    const given = this.#arguments();
    return at(line, (scope) => {
      const called = callee(scope);
      if (called instanceof Undefined) throw called.refusal();
      if (!(called instanceof Callable)) throw new Refusal('it calls what is no function');
      return called.call(given(scope));
    });
  }

  #arguments(): ArgumentsOf {
    this.next();
    const named = new Map<string, Expression>();
    const positional: Expression[] = [];
    this.#list(')', () => {
      if (this.is('operator', '*', '**')) throw this.failure('the arguments * and ** are not supported');
      if (this.is('name') && this.#ahead(1).kind === 'operator' && this.#ahead(1).value === '=') {
        const name = this.next().value;
        this.next();
        if (named.has(name)) throw this.failure();
        named.set(name, this.expression());
      } else {
        if (named.size > 0) throw this.failure();
        positional.push(this.expression());
      }
    });
    return (scope) => ({
      positional: positional.map((value) => value(scope)),
      named: new Map([...named].map(([name, value]) => [name, value(scope)])),
    });
  }

  /** All that follow, each with its `|` unless it `startsInline`, as in `{% filter upper %}`. */
  protected filters(start: Expression, startsInline = false): Expression {
    let value = start;
    for (let isInline = startsInline; isInline || this.skip('operator', '|'); isInline = false) {
      const { line, value: name } = this.expect('name');
      check(line, () => filterNamed(name));
      const given = this.is('operator', '(') ? this.#arguments() : NONE_GIVEN;
      const operand = value;
      value = at(line, (scope) => applyFilter(name, operand(scope), given(scope), scope.missing));
    }
    return value;
  }

  #test(operand: Expression): Expression {
    const { line } = this.next();
    const isNegated = this.skip('name', 'not');
    const name = this.expect('name').value;
    check(line, () => testNamed(name, { positional: [], named: new Map() }));
    let given = NONE_GIVEN;
    if (this.is('operator', '(')) {
      given = this.#arguments();
    } else if (['name', 'string', 'integer', 'float'].includes(this.current.kind) || this.is('operator', '[', '{')) {
      if (this.is('name', 'is')) throw this.failure();
      if (!this.is('name', 'else', 'or', 'and')) {
        const argument = this.#postfix(this.#primary());
        given = (scope) => ({ positional: [argument(scope)], named: new Map() });
      }
    }
    return at(line, (scope) => testNamed(name, given(scope))(operand(scope)) !== isNegated);
  }
}

const NONE_GIVEN: ArgumentsOf = () => ({ positional: [], named: new Map() });

/** Names are looked up while the template is read, also where nothing is evaluated, as in Jinja. */
function check(line: number, look: () => unknown): void {
  try {
    look();
  } catch (error) {
    if (error instanceof Refusal) error.line = line;
    throw error;
  }
}
