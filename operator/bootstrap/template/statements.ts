/** Jinja's grammar of statements; each becomes a function that gives the text that it writes. */
import { type Assign, at, type Expression, ExpressionParser } from './expressions.ts';
import { Loop, Namespace } from './objects.ts';
import { boundedElements, Refusal } from './refusal.ts';
import type { Scope } from './scope.ts';
import { str } from './text.ts';
import { type Arguments, Callable, isTrue, iterable, Lazy, lengthOrNone, Undefined, type Value } from './values.ts';

type Statement = (scope: Scope) => string;

/** Of Jinja and its extensions, and not here. */
const OTHERS = new Set('autoescape block break call continue debug extends from import include pluralize print trans'.split(' '));

export class TemplateParser extends ExpressionParser {
  template(): Statement {
    const body = this.#body();
    if (!this.is('end')) throw this.failure();
    return body;
  }

  /** Up to a tag with one of these names, whose name is the current token then. */
  #body(...ends: string[]): Statement {
    const parts: Statement[] = [];
    while (!this.is('end')) {
      const { kind, value, line } = this.next();
      if (kind === 'text') {
        parts.push(() => value);
      } else if (kind === '{{') {
        const shown = this.tuple();
        this.expect('}}');
        parts.push(at(line, (scope) => str(shown(scope))));
      } else {
        if (this.is('name', ...ends) && ends.length > 0) return joining(parts);
        parts.push(at(line, this.#statement()));
        this.expect('%}');
      }
    }
    if (ends.length > 0) throw this.failure();
    return joining(parts);
  }

  #statement(): Statement {
    const { value: name } = this.expect('name');
    switch (name) {
      case 'for':
        return this.#for();
      case 'if':
        return this.#if();
      case 'set':
        return this.#set();
      case 'with':
        return this.#with();
      case 'do': {
        const done = this.tuple();
        return (scope) => (done(scope), '');
      }
      case 'macro':
        return this.#macro();
      case 'filter': {
        const filtered = this.filters(BODY, true);
        const body = this.#closedBody('endfilter');
        return (scope) => str(filtered(withBody(scope, body)));
      }
      default:
        throw this.failure(
          OTHERS.has(name) ? `the statement ${name} is not supported` : 'it has a statement that Jinja does not have here',
        );
    }
  }

  #closedBody(end: string): Statement {
    this.expect('%}');
    const body = this.#body(end);
    this.next();
    return body;
  }

  #if(): Statement {
    const condition = this.tuple(() => this.condition());
    this.expect('%}');
    const body = this.#body('elif', 'else', 'endif');
    const { value: end } = this.next();
    const otherwise = end === 'elif' ? this.#if() : end === 'else' ? this.#closedBody('endif') : () => '';
    return (scope) => (isTrue(condition(scope)) ? body : otherwise)(scope);
  }

  #for(): Statement {
    const assign = this.#target();
    this.expect('name', 'in');
    const items = this.tuple(() => this.condition());
    const condition = this.skip('name', 'if') ? this.expression() : undefined;
    if (this.is('name', 'recursive')) throw this.failure('the statement for is not supported with recursive');
    this.expect('%}');
    const body = this.#body('endfor', 'else');
    const otherwise = this.next().value === 'else' ? this.#closedBody('endfor') : () => '';
    return (scope) => {
      const all = items(scope);
      const chosen = condition === undefined ? all : new Lazy(matching(iterable(all), scope, assign, condition));
      const loop = new Loop(iterable(chosen), lengthOrNone(chosen), scope.missing);
      const written: string[] = [];
      for (let next = loop.next(); next.done !== true; next = loop.next()) {
        scope.step();
        boundedElements(written.length);
        const inner = scope.inner();
        inner.set('loop', loop);
        assign(inner, next.value);
        written.push(body(inner));
      }
      return written.length === 0 ? otherwise(scope.inner()) : written.join('');
    };
  }

  /** A name, several of them with commas, or one of a namespace. */
  #target(): Assign {
    const first = this.#oneTarget();
    if (!this.is('operator', ',')) return first;
    const targets = [first];
    while (this.skip('operator', ',')) targets.push(this.#oneTarget());
    return (scope, value) => unpack(targets, scope, value);
  }

  #oneTarget(): Assign {
    if (this.skip('operator', '(')) {
      const inner = this.#target();
      this.expect('operator', ')');
      return inner;
    }
    const { value: name } = this.expect('name');
    if (/^(?:loop|true|false|none)$/i.test(name)) throw this.failure();
    if (!this.skip('operator', '.')) return (scope, value) => scope.set(name, value);
    const { value: attribute } = this.expect('name');
    return (scope, value) => {
      const namespace = scope.get(name);
      if (!(namespace instanceof Namespace)) throw new Refusal('it sets an attribute of what is no namespace');
      namespace.set(attribute, value);
    };
  }

  #set(): Statement {
    const assign = this.#target();
    if (this.skip('operator', '=')) {
      const value = this.tuple();
      return (scope) => (assign(scope, value(scope)), '');
    }
    const filtered = this.filters(BODY);
    const body = this.#closedBody('endset');
    return (scope) => (assign(scope, filtered(withBody(scope, body))), '');
  }

  #with(): Statement {
    const pairs: [Assign, Expression][] = [];
    while (!this.is('%}')) {
      if (pairs.length > 0) this.expect('operator', ',');
      const assign = this.#oneTarget();
      this.expect('operator', '=');
      pairs.push([assign, this.expression()]);
    }
    const body = this.#closedBody('endwith');
    return (scope) => {
      const inner = scope.inner();
      for (const [assign, value] of pairs) assign(inner, value(scope));
      return body(inner);
    };
  }

  #macro(): Statement {
    const { value: name } = this.expect('name');
    const parameters = this.#parameters();
    const body = this.#closedBody('endmacro');
    const call = (scope: Scope, { positional, named }: Arguments) => {
      const inner = scope.inner();
      if (positional.length > parameters.length) throw new Refusal('a macro is given too many arguments');
      for (const given of named.keys()) {
        const index = parameters.findIndex(([parameter]) => parameter === given);
        if (index < positional.length) throw new Refusal('a macro is given an argument by a name that it does not have, or twice');
      }
      parameters.forEach(([parameter, otherwise], index) => {
        const value = index < positional.length ? positional[index] : named.get(parameter);
        const missing = () => (otherwise === undefined ? new Undefined(parameter, scope.missing) : otherwise(inner));
        inner.set(parameter, value === undefined ? missing() : value);
      });
      return body(inner);
    };
    return (scope) => (scope.set(name, new Callable((given) => call(scope, given))), '');
  }

  #parameters(): [name: string, otherwise: Expression | undefined][] {
    this.expect('operator', '(');
    const parameters: [string, Expression | undefined][] = [];
    while (!this.is('operator', ')')) {
      if (parameters.length > 0) this.expect('operator', ',');
      const { value: name } = this.expect('name');
      const otherwise = this.skip('operator', '=') ? this.expression() : undefined;
      if (otherwise === undefined && parameters.at(-1)?.[1] !== undefined) throw this.failure();
      parameters.push([name, otherwise]);
    }
    this.next();
    return parameters;
  }
}

/** What filters of a block get: its text, under a name that no template can say. */
const BODY: Expression = (scope) => scope.get('');

function withBody(scope: Scope, body: Statement): Scope {
  const inner = scope.inner();
  inner.set('', body(scope.inner()));
  return inner;
}

const joining =
  (parts: Statement[]): Statement =>
  (scope) =>
    parts.map((part) => part(scope)).join('');

function* matching(items: Iterable<Value>, scope: Scope, assign: Assign, condition: Expression): Generator<Value> {
  for (const item of items) {
    scope.step();
    const inner = scope.inner();
    assign(inner, item);
    if (isTrue(condition(inner))) yield item;
  }
}

function unpack(targets: Assign[], scope: Scope, value: Value): void {
  const items = [...iterable(value)];
  if (items.length !== targets.length) throw new Refusal('it unpacks a number of values into another number of names');
  targets.forEach((assign, index) => assign(scope, items[index] ?? null));
}
