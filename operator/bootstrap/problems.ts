/** What keeps a document from being carried out, in one message: pure. */
import type { z } from 'zod';
import { formatPath, type Path } from './cloud-config/path.ts';
import { BootstrapDataError, type BootstrapDataErrorReason, type Finding, sentenceOf } from './plan.ts';

/** Problems named in one message, and findings told as Events; a document with more has most likely one cause. */
const MAX_NAMED = 30;

export interface Problem {
  reason: BootstrapDataErrorReason;
  path: Path;
  message: string;
}

/** A problem and where it stands. */
export interface LocatedProblem extends Finding {
  reason: BootstrapDataErrorReason;
}

/** Of a value that is not as its schema says. `unsupported` has the words for a key that the schema doesn't know. */
export function problemsOf(issue: z.core.$ZodIssue, above: Path, unsupported: (path: Path) => Problem): Problem[] {
  const path = [...above, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unsupported([...path, key]));
  const message = issue.message.endsWith('received undefined') ? 'is missing' : inWordsOfYaml(issue.message);
  const given = issue.code === 'custom' ? (issue.params?.['reason'] as BootstrapDataErrorReason | undefined) : undefined;
  return [{ reason: given ?? 'BootstrapDataInvalid', path, message }];
}

const KINDS: Record<string, string> = { array: 'a list', record: 'a map', object: 'a map', string: 'a text' };

/** As people call what they write, where the schema has the words of a programmer. */
function inWordsOfYaml(message: string): string {
  const words = message
    .replace(/^Invalid input: /, '')
    .replace(/received (?:bigint|Float)$/, 'received number')
    .replaceAll(/\b(expected|received) (array|record|object|string)\b/g, (_, verb: string, kind: string) => `${verb} ${KINDS[kind]}`);
  return words.replace(/^expected a text, received (?:number|boolean)$/, '$&; quote it');
}

export const located = (problem: Problem, place: (path: Path) => Pick<Finding, 'line' | 'part'>): LocatedProblem => ({
  ...problem,
  path: formatPath(problem.path),
  ...place(problem.path),
});

export function refusal(problems: LocatedProblem[], findings: Finding[]): BootstrapDataError {
  const sorted = problems.toSorted((a, b) => (a.part ?? '').localeCompare(b.part ?? '') || (a.line ?? 0) - (b.line ?? 0));
  // A document that is wrong has to be corrected before anything else of it can be honoured.
  const reason = sorted.find((problem) => problem.reason !== 'BootstrapKeyUnsupported')?.reason ?? 'BootstrapKeyUnsupported';
  const named = sorted.slice(0, MAX_NAMED).map(sentenceOf);
  if (sorted.length > MAX_NAMED) named.push(`and ${sorted.length - MAX_NAMED} more`);
  return new BootstrapDataError(reason, `the bootstrap data cannot be carried out: ${named.join('; ')}`, [...sorted, ...findings]);
}

/** As many as are told, some of every kind, and how many there are besides. */
export function told(findings: Finding[]): Finding[] {
  const ofKind = new Map<string, number>();
  const ranked = findings.map((finding, index) => {
    const rank = ofKind.get(finding.reason) ?? 0;
    ofKind.set(finding.reason, rank + 1);
    return { finding, index, rank };
  });
  const chosen = ranked.toSorted((a, b) => a.rank - b.rank).slice(0, MAX_NAMED);
  const list = chosen.toSorted((a, b) => a.index - b.index).map(({ finding }) => finding);
  const more = findings.length - list.length;
  return more === 0 ? list : [...list, { reason: 'MoreWarnings', path: '', message: `and ${more} more, most likely of the same cause` }];
}
