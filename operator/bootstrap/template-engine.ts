import * as jinja from '@huggingface/jinja';

/** The engine's types as far as they are used: those that the package ships name their files in a way that Node's rules don't resolve. */
export interface Token {
  type: string;
  value: string;
}

/** A node of a parsed template; which further members it has depends on its type. */
export interface Node {
  type: string;
  value?: unknown;
  object?: Node;
  property?: Node;
  body?: Node[];
  alternate?: Node[];
  defaultBlock?: Node[];
  operator?: Token;
  left?: Node;
  right?: Node;
}

export interface Value {
  type: string;
  value: unknown;
  toString(): string;
}

interface Scope {
  set(name: string, value: unknown): Value;
}

interface Evaluator {
  run(program: Node): Value;
  evaluate(node: Node | undefined, scope: Scope): Value;
}

interface Engine {
  tokenize: (source: string) => Token[];
  parse: (tokens: Token[]) => Node;
  Environment: new () => Scope;
  Interpreter: new (scope: Scope) => Evaluator;
}

export const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Engine;
export type { Scope };
