import { BootstrapDataError } from './plan.ts';

/** A part of a Jinja template. `line` is where it starts in the text, from 1. */
export interface Piece {
  kind: 'text' | 'expression' | 'statement';
  /** The text, or what stands between the delimiters. */
  value: string;
  line: number;
}

interface Tag {
  kind: 'expression' | 'statement' | 'comment';
  value: string;
  /** Offset behind the closing delimiter. */
  end: number;
  trimBefore: boolean;
  trimAfter: boolean;
  /** `+%}` keeps the newline that trim_blocks would take. */
  keepNewline: boolean;
}

const KINDS = { '{{': 'expression', '{%': 'statement', '{#': 'comment' } as const;
const RAW_END = /\{%[-+]?\s*endraw\s*[-+]?%\}/;

/**
 * Splits a template as Jinja's lexer does with trim_blocks on (cloud-init's setting). The engine's own lexer takes the newline
 * after every `-}`, `%}` and `#}` of plain text too, which `${NAME:-}` of a shell script must keep, and has no raw blocks.
 * @throws BootstrapDataError BootstrapDataInvalid for a tag that isn't closed
 */
export function scan(text: string): Piece[] {
  const pieces: Piece[] = [];
  const lines = lineNumbers(text);
  let position = 0;
  let trimNext = false;
  const push = (value: string, line: number) => {
    const trimmed = trimNext ? value.trimStart() : value;
    trimNext = false;
    if (trimmed !== '') pieces.push({ kind: 'text', value: trimmed, line });
  };
  while (position < text.length) {
    const start = nextTag(text, position);
    const tag = start === text.length ? undefined : readTag(text, start, lines);
    const before = text.slice(position, start);
    push(tag?.trimBefore === true ? before.trimEnd() : before, lines(position));
    if (tag === undefined) break;
    const isRaw = tag.kind === 'statement' && tag.value.trim() === 'raw';
    position = isRaw ? tag.end : behind(text, tag); // trim_blocks doesn't reach behind `{% raw %}`
    trimNext = tag.trimAfter;
    if (isRaw) {
      const end = RAW_END.exec(text.slice(position));
      if (end === null) throw notClosed(lines(start));
      const endTag = readTag(text, position + end.index, lines);
      const raw = text.slice(position, position + end.index);
      push(endTag.trimBefore ? raw.trimEnd() : raw, lines(position));
      position = behind(text, endTag);
      trimNext = endTag.trimAfter;
    } else if (tag.kind !== 'comment') {
      pieces.push({ kind: tag.kind, value: tag.value, line: lines(start) });
    }
  }
  return pieces;
}

function nextTag(text: string, from: number): number {
  for (let at = text.indexOf('{', from); at !== -1; at = text.indexOf('{', at + 1)) {
    if (text.slice(at, at + 2) in KINDS) return at;
  }
  return text.length;
}

function readTag(text: string, start: number, lines: (offset: number) => number): Tag {
  const kind = KINDS[text.slice(start, start + 2) as keyof typeof KINDS];
  const close = kind === 'comment' ? text.indexOf('#}', start + 2) : closing(text, start + 2, kind === 'expression' ? '}}' : '%}');
  if (close === -1) throw notClosed(lines(start));
  const inner = text.slice(start + 2, close);
  const [, opening = '', value = '', ending = ''] = /^([-+]?)([\s\S]*?)([-+]?)$/.exec(inner) ?? [];
  return { kind, value, end: close + 2, trimBefore: opening === '-', trimAfter: ending === '-', keepNewline: ending === '+' };
}

/** Offset of the delimiter that ends the tag: outside of strings, and outside of brackets opened within it. */
function closing(text: string, from: number, delimiter: string): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const char = text[at] ?? '';
    if (char === '"' || char === "'") {
      at = endOfString(text, at, char);
      if (at === -1) return -1;
    } else if (depth === 0 && text.startsWith(delimiter, at)) {
      return at;
    } else if ('([{'.includes(char)) {
      depth++;
    } else if (')]}'.includes(char)) {
      depth--;
    }
  }
  return -1;
}

function endOfString(text: string, start: number, quotation: string): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === quotation) return at;
  }
  return -1;
}

/** Where the text goes on behind a tag: trim_blocks takes one newline after a statement or comment. */
function behind(text: string, tag: Tag): number {
  return tag.kind !== 'expression' && !tag.keepNewline && text[tag.end] === '\n' ? tag.end + 1 : tag.end;
}

/** Line numbers of offsets that only grow, counted on the way. */
function lineNumbers(text: string): (offset: number) => number {
  let counted = 0;
  let line = 1;
  return (offset) => {
    for (; counted < offset; counted++) if (text[counted] === '\n') line++;
    return line;
  };
}

function notClosed(line: number): BootstrapDataError {
  return new BootstrapDataError('BootstrapDataInvalid', `line ${line + 1}: a tag of the Jinja template is not closed`);
}
