/** The tokens of a template, as Jinja's lexer makes them with cloud-init's settings: trim_blocks is on, the last line break is dropped. */
import { Refusal } from './refusal.ts';
import { SPACE, strip } from './text.ts';

export interface Token {
  /** `text` stands between tags; `{{`, `}}`, `{%` and `%}` stand for tags whatever marks of white space they have. */
  kind: 'text' | 'name' | 'string' | 'integer' | 'float' | 'operator' | '{{' | '}}' | '{%' | '%}' | 'end';
  value: string;
  /** From 1. */
  line: number;
}

const TAG = new RegExp(`\\{%(?<raw>[-+]?)[${SPACE}]*raw[${SPACE}]*(?:-%\\}[${SPACE}]*|%\\})|(?<open>\\{\\{|\\{%|\\{#)(?<sign>[-+]?)`, 'g');
const STATEMENT_END = `(?:\\+%\\}|-%\\}[${SPACE}]*|%\\}\\n?)`;
const RAW_END = new RegExp(`\\{%(?<sign>[-+]?)[${SPACE}]*endraw[${SPACE}]*${STATEMENT_END}`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}[${SPACE}]*|#\\}\\n?`, 'g');
const ENDS = { '{%': new RegExp(STATEMENT_END, 'y'), '{{': new RegExp(`-\\}\\}[${SPACE}]*|\\}\\}`, 'y') };

const DIGITS = '(?:\\d+_)*\\d+';
const RULES: [kind: Token['kind'] | 'space', pattern: RegExp][] = [
  ['space', new RegExp(`[${SPACE}]+`, 'y')],
  ['float', new RegExp(`(?<!\\.)${DIGITS}(?:(?:\\.${DIGITS})?e[-+]?${DIGITS}|\\.${DIGITS})`, 'iy')],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{Nl}_][\p{L}\p{N}\p{M}\p{Pc}]*/uy],
  ['string', /'[^'\\]*(?:\\[^][^'\\]*)*'|"[^"\\]*(?:\\[^][^"\\]*)*"/y],
  ['operator', /\/\/|\*\*|[=!<>]=|[-+/*%~[\](){}<>=.:|,]/y],
];
const CLOSED_BY: Record<string, string> = { '(': ')', '[': ']', '{': '}' };
const ESCAPES: Record<string, string> = {
  ...{ '\n': '', '\\': '\\', "'": "'", '"': '"', a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' },
};

/** @throws Refusal */
export const tokenize = (template: string): Token[] => new Lexer(template).tokens();

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #position = 0;
  #line = 1;

  constructor(template: string) {
    this.#source = template.replaceAll(/\r\n?/g, '\n').replace(/\n$/, '');
  }

  tokens(): Token[] {
    for (let tag = this.#match(TAG); tag !== null; tag = this.#match(TAG)) {
      const { raw, open, sign } = tag.groups ?? {};
      this.#text(tag.index, raw ?? sign);
      const opened = this.#line;
      this.#advance(tag.index + tag[0].length);
      if (raw !== undefined) {
        const end = this.#closed(RAW_END, opened);
        this.#text(end.index, end.groups?.['sign']);
        this.#advance(end.index + end[0].length);
      } else if (open === '{#') {
        const end = this.#closed(COMMENT_END, opened);
        this.#advance(end.index + end[0].length);
      } else {
        this.#expression(open === '{{' ? '{{' : '{%', opened);
      }
    }
    this.#text(this.#source.length, undefined);
    return [...this.#tokens, { kind: 'end', value: '', line: this.#line }];
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#position;
    return pattern.exec(this.#source);
  }

  #closed(pattern: RegExp, line: number): RegExpExecArray {
    const end = this.#match(pattern);
    if (end === null) throw notClosed(line);
    return end;
  }

  #advance(to: number): void {
    for (; this.#position < to; this.#position++) if (this.#source[this.#position] === '\n') this.#line++;
  }

  #push(kind: Token['kind'], value = ''): void {
    this.#tokens.push({ kind, value, line: this.#line });
  }

  /** @param sign of the tag behind it */
  #text(end: number, sign: string | undefined): void {
    const whole = this.#source.slice(this.#position, end);
    const text = sign === '-' ? strip(whole, 'right') : whole;
    if (text !== '') this.#push('text', text);
    this.#advance(end);
  }

  /** The tokens of one tag, up to where it closes outside of all brackets. */
  #expression(open: '{{' | '{%', opened: number): void {
    const brackets: string[] = [];
    this.#tokens.push({ kind: open, value: '', line: opened });
    for (;;) {
      const end = brackets.length === 0 ? this.#match(ENDS[open]) : null;
      if (end !== null) {
        this.#push(open === '{{' ? '}}' : '%}');
        this.#advance(this.#position + end[0].length);
        return;
      }
      if (this.#position >= this.#source.length) throw notClosed(opened);
      const [kind, value] = this.#next(opened);
      const closing = CLOSED_BY[value];
      if (kind === 'operator' && closing !== undefined) brackets.push(closing);
      else if (kind === 'operator' && ')]}'.includes(value) && brackets.pop() !== value) throw this.#wrong();
      if (kind !== 'space') this.#push(kind, kind === 'string' ? this.#unescaped(value.slice(1, -1)) : value);
      this.#advance(this.#position + value.length);
    }
  }

  #next(opened: number): [(typeof RULES)[number][0], string] {
    for (const [kind, pattern] of RULES) {
      const found = this.#match(pattern);
      if (found !== null) return [kind, found[0]];
    }
    throw /['"]/.test(this.#source[this.#position] ?? '') ? notClosed(opened) : this.#wrong();
  }

  #unescaped(text: string): string {
    return text.replaceAll(
      /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|([^]))/g,
      (whole, x: string | undefined, u: string | undefined, other: string) => {
        const code = x ?? u;
        if (code === undefined ? /[\dxuUN]|[^\0-\x7f]/.test(other) : /^d[89a-f]..$/i.test(code)) {
          throw new Refusal('a text of it has an escape that is not supported', this.#line);
        }
        return code === undefined ? (ESCAPES[other] ?? whole) : String.fromCharCode(parseInt(code, 16));
      },
    );
  }

  #wrong(): Refusal {
    return new Refusal('it has a syntax error', this.#line);
  }
}

const notClosed = (line: number): Refusal => new Refusal('a tag of it is not closed', line);
