import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { Budget } from '../format.ts';
import { BootstrapDataError, type Finding } from '../plan.ts';
import { listOf, type Located, mapOf } from './located.ts';
import { formatPath, type Path } from './path.ts';
import { resolvePlain } from './scalars.ts';

/** Levels of lists and maps within each other. */
const MAX_DEPTH = 64;
/** Values, those of aliases counted as often as they are named (the "billion laughs" document). */
const MAX_VALUES = 100_000;
const CORE = 'tag:yaml.org,2002:';

/** A parsed document: plain values, and where in the text they stand. */
export interface YamlDocument {
  /** undefined: the document is empty. */
  root: Located | undefined;
  /** DuplicateKey, SecondHeader. */
  findings: Finding[];
}

/**
 * Reads YAML 1.1 with the meaning that PyYAML's safe loader gives it: of a key that is given twice the last one counts (and is
 * a finding), `<<` merges maps.
 * @param part name of the document among several, for places
 * @param budget pays for texts that aliases repeat
 * @throws BootstrapDataError BootstrapDataInvalid, BootstrapDataTooLarge, that names the line and holds nothing of the text
 */
export function parseYaml(text: string, part = '', budget = new Budget()): YamlDocument {
  const counter = new LineCounter();
  // The failsafe schema leaves every scalar a string; what it means is decided by resolvePlain.
  const document = parseDocument(text, {
    version: '1.1',
    schema: 'failsafe',
    uniqueKeys: false,
    lineCounter: counter,
    prettyErrors: false,
    logLevel: 'error', // 'silent' also drops the error for a second document
  });
  const lineAt = (offset: number) => counter.linePos(offset).line;
  const [error] = document.errors;
  if (error !== undefined) {
    const what = error.code === 'MULTIPLE_DOCS' ? 'a second document begins' : error.code.toLowerCase().replaceAll('_', ' ');
    throw invalid(lineAt(error.pos[0]), `is not valid YAML (${what})`);
  }
  const converter = new Converter(lineAt, part, budget);
  const root = document.contents === null ? { value: null, line: 1, part } : converter.convert(document.contents, []);
  const findings = [...secondHeaders(text, document).map((offset) => secondHeader(lineAt(offset), part)), ...converter.findings];
  return { root: root.value === null ? undefined : root, findings };
}

/** Places of headers after the first one, but for those that are in a text. */
function secondHeaders(text: string, document: Document): number[] {
  const [, ...further] = [...text.matchAll(/^#cloud-config\b/gm)].map(({ index }) => index);
  if (further.length === 0) return [];
  const ranges: [start: number, end: number][] = [];
  visit(document, {
    Scalar: (_, { range }) => {
      if (range) ranges.push([range[0], range[1]]);
    },
  });
  return further.filter((offset) => !ranges.some(([start, end]) => start < offset && offset < end));
}

const secondHeader = (line: number, part: string): Finding => ({
  reason: 'SecondHeader',
  path: '',
  line,
  ...(part !== '' && { part }),
  message:
    'another #cloud-config begins here, which is a comment as for cloud-init: all of it is one document, in which the last of two equal keys counts',
});

class Converter {
  readonly findings: Finding[] = [];
  readonly #anchors = new Map<string, Node>();
  readonly #lineAt: (offset: number) => number;
  readonly #part: string;
  readonly #budget: Budget;
  #values = 0;
  /** Depth of aliases; inside of one all anchors are already known. */
  #aliases = 0;

  constructor(lineAt: (offset: number) => number, part: string, budget: Budget) {
    this.#lineAt = lineAt;
    this.#part = part;
    this.#budget = budget;
  }

  convert(node: Node, path: Path): Located {
    const line = this.#lineOf(node);
    if (++this.#values > MAX_VALUES) throw invalid(line, `the document has more than ${MAX_VALUES} values, those of aliases counted`);
    if (path.length > MAX_DEPTH) throw invalid(line, `lists and maps are nested more than ${MAX_DEPTH} deep`);
    if (isAlias(node)) return this.#alias(node, path);
    if (node.anchor !== undefined && this.#aliases === 0) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#map(node, path);
    if (isSeq(node)) return this.#list(node, path);
    return { value: this.#scalar(node), line, part: this.#part };
  }

  #alias(node: Alias, path: Path): Located {
    const target = this.#target(node);
    // An alias inside of what it names would go on for ever; the limit on depth ends it.
    return this.#within(node, () => ({ ...this.convert(target, [...path, '*']), line: this.#lineOf(node) }));
  }

  /** What an alias, if `node` is one, stands for. */
  #within<T>(node: Node, read: () => T): T {
    if (!isAlias(node)) return read();
    this.#aliases++;
    try {
      return read();
    } finally {
      this.#aliases--;
    }
  }

  #target(node: Alias): Node {
    const target = this.#anchors.get(node.source);
    if (target === undefined) throw invalid(this.#lineOf(node), 'an alias names an anchor that does not exist before it');
    return target;
  }

  #list(node: YAMLSeq, path: Path): Located {
    this.#checkTag(node, 'seq');
    const items = node.items.map((item, index) => this.convert(item as Node, [...path, index]));
    return listOf(items, { line: this.#lineOf(node), part: this.#part });
  }

  #map(node: YAMLMap, path: Path): Located {
    this.#checkTag(node, 'map');
    const own = new Map<string, Located>();
    const merged: Map<string | number, Located>[] = [];
    const occurrences = new Map<string, number[]>();
    for (const pair of node.items) {
      const key = pair.key as Node | null;
      const name = this.#key(key);
      const value = pair.value as Node | null;
      if (name === '<<' && isScalar(key) && key.type === 'PLAIN') {
        merged.push(...(value === null ? [] : this.#mergeSources(value, path)));
        continue;
      }
      const line = key === null ? this.#lineOf(node) : this.#lineOf(key);
      const lines = occurrences.get(name);
      if (lines === undefined) occurrences.set(name, [line]);
      else lines.push(line);
      const located = value === null ? { value: null, line, part: this.#part } : this.convert(value, [...path, name]);
      // A key's own line says more than that of the block below it.
      own.set(name, { ...located, line });
    }
    for (const [name, lines] of occurrences) if (lines.length > 1) this.#duplicate([...path, name], lines);
    const children = new Map<string | number, Located>([...merged.reverse().flatMap((map) => [...map]), ...own]);
    return mapOf(children, { line: this.#lineOf(node), part: this.#part });
  }

  /** `<<: *a` or `<<: [*a, *b]`; of several the first that has a key gives it. */
  #mergeSources(node: Node, path: Path): Map<string | number, Located>[] {
    const target = isAlias(node) ? this.#target(node) : node;
    if (isSeq(target)) {
      if (path.length > MAX_DEPTH) throw invalid(this.#lineOf(node), `lists and maps are nested more than ${MAX_DEPTH} deep`);
      return this.#within(node, () => target.items.flatMap((item) => this.#mergeSources(item as Node, [...path, '<<'])));
    }
    if (!isMap(target) || path.length > MAX_DEPTH) throw invalid(this.#lineOf(node), 'a merge key (<<) names something that is not a map');
    return [this.convert(node, path).children ?? new Map<string | number, Located>()];
  }

  #key(node: Node | null): string {
    const target = node !== null && isAlias(node) ? this.#target(node) : node;
    if (target === null) return '';
    if (!isScalar(target)) throw invalid(this.#lineOf(target), 'a list or a map cannot be a key');
    if (target.anchor !== undefined && this.#aliases === 0) this.#anchors.set(target.anchor, target);
    if (node !== target || this.#aliases > 0) this.#pay(target);
    return String(target.value);
  }

  #scalar(node: Scalar): unknown {
    const text = typeof node.value === 'string' ? node.value : '';
    if (this.#aliases > 0) this.#pay(node);
    const tag = node.tag ?? '';
    if (tag === '') return node.type === 'PLAIN' ? resolvePlain(text) : text;
    if (tag === '!' || tag === `${CORE}str` || tag === `${CORE}python/unicode`) return text;
    if (tag === `${CORE}binary`) return new Uint8Array(Buffer.from(text, 'base64'));
    if (['int', 'bool', 'null', 'float'].some((name) => tag === `${CORE}${name}`)) return resolvePlain(text);
    throw invalid(this.#lineOf(node), 'a value has a tag that is not supported');
  }

  /** What is repeated here is one text, and a text of its own wherever it goes. */
  #pay(node: Scalar): void {
    if (this.#budget.spend(Buffer.byteLength(String(node.value)))) return;
    const where = `${this.#part === '' ? '' : `${this.#part}, `}line ${this.#lineOf(node)}`;
    throw new BootstrapDataError('BootstrapDataTooLarge', `${where}: with the texts that aliases repeat the bootstrap data is too large`);
  }

  #checkTag(node: Node, kind: 'map' | 'seq'): void {
    const { tag } = node;
    if (tag === undefined || tag === '!' || tag === `${CORE}${kind}`) return;
    throw invalid(this.#lineOf(node), 'a value has a tag that is not supported');
  }

  #duplicate(path: Path, lines: number[]): void {
    const where = `${lines.slice(0, 8).join(', ')}${lines.length > 8 ? ', …' : ''}`;
    this.findings.push({
      reason: 'DuplicateKey',
      path: formatPath(path),
      line: lines.at(-1) ?? 1,
      ...(this.#part !== '' && { part: this.#part }),
      message: `given ${lines.length} times (lines ${where}); as in cloud-init only the last one counts, what the others hold is not carried out`,
    });
  }

  #lineOf(node: Node): number {
    return this.#lineAt(node.range?.[0] ?? 0);
  }
}

/** @param part where the document's name is not said by who reads it */
export function invalid(line: number, what: string, part = ''): BootstrapDataError {
  return new BootstrapDataError('BootstrapDataInvalid', `${part === '' ? '' : `${part}, `}line ${line}: ${what}`);
}
