import { placeOf } from '../../cloud-config/located.ts';
import { parseYaml } from '../../cloud-config/parse.ts';
import type { Path } from '../../cloud-config/path.ts';
import { BootstrapDataError } from '../../plan.ts';

/** One JSON document: the data itself, or one that it holds. */
export interface Document {
  /** What leads to it, such as `ignition.config.merge[0]`; empty: the data itself. */
  name: string;
  value: Record<string, unknown>;
  /** Line of a value, or of what holds it. */
  line: (path: Path) => number;
  /** Keys given twice in one object. */
  duplicates: { path: string; line: number }[];
}

/**
 * Reads JSON, where null is as good as nothing at all. Its lines are found by the parser of YAML, of which JSON is a part.
 * @throws BootstrapDataError BootstrapDataInvalid that names the line and holds nothing of the text
 */
export function parseDocument(text: string, name: string): Document {
  let value: unknown;
  try {
    value = JSON.parse(text) as unknown;
  } catch (error) {
    throw invalid(name, lineOfSyntaxError(text, error), 'is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(name, 1, 'an Ignition document is an object, this one is not');
  }
  const { root, findings } = parseYaml(text);
  const line = (path: Path): number => (root === undefined ? 1 : placeOf(root, path).line);
  const duplicates = findings.map((finding) => ({ path: finding.path, line: finding.line ?? 1 }));
  return { name, value: withoutNulls(value) as Record<string, unknown>, line, duplicates };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(entries.map(([key, item]): [string, unknown] => [key, withoutNulls(item)]));
}

/** V8 says where: `… at position 12 (line 2 column 3)`, but not where the text ends too soon. */
function lineOfSyntaxError(text: string, error: unknown): number {
  const line = / \(line (\d+) column \d+\)$/.exec(error instanceof Error ? error.message : '')?.[1];
  return line === undefined ? text.trimEnd().split('\n').length : Number(line);
}

export function invalid(name: string, line: number, what: string): BootstrapDataError {
  return new BootstrapDataError('BootstrapDataInvalid', `${name === '' ? '' : `${name}: `}line ${line}: ${what}`);
}
