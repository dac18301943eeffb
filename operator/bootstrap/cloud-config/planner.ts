import type { z } from 'zod';
import { BootstrapDataError, type BootstrapDataErrorReason, type Finding, type InstanceData, sentenceOf, type Step } from '../plan.ts';
import { type Located, placeOf } from './located.ts';
import type { Context } from './module.ts';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';
import { runcmd } from './modules/runcmd.ts';
import { formatPath, type Path } from './path.ts';

/** Problems named in one message; a document with more has most likely one cause. */
const MAX_NAMED = 30;

/**
 * The steps of a #cloud-config document, in the order in which cloud-init's modules run.
 * @param document its top-level map; undefined: there is none
 * @param beside adds what runs before and after the commands of runcmd
 * @throws BootstrapDataError that names every problem of the document with its path and line
 */
export function planCloudConfig(
  document: Located | undefined,
  instance: InstanceData,
  beside: (runcmd: Step[]) => Step[] = (steps) => steps,
): { steps: Step[]; findings: Finding[] } {
  const keys = (document?.value ?? {}) as Record<string, unknown>;
  const { values, problems } = validate(keys);
  const findings: Finding[] = [];
  const finding = (reason: string, path: Path, message: string): Finding => ({
    reason,
    path: formatPath(path),
    ...where(document, path),
    message,
  });
  if (problems.length > 0) throw refusal(problems.map(({ reason, path, message }) => finding(reason, path, message)));
  const context: Context = { instance, note: (...words) => findings.push(finding(...words)) };
  for (const key of Object.keys(keys)) {
    const why = WITHOUT_EFFECT.get(key);
    if (why !== undefined) context.note('KeyWithoutEffect', [key], `not carried out: ${why}`);
  }
  const steps = MODULES.flatMap((module) => {
    const own = Object.keys(module.keys).some((key) => key in values) ? module.plan(values, context) : [];
    return module === runcmd ? beside(own) : own;
  });
  return { steps, findings };
}

function where(document: Located | undefined, path: Path): Pick<Finding, 'line' | 'part'> {
  if (document === undefined) return {};
  const { line, part } = placeOf(document, path);
  return { line, ...(part !== '' && { part }) };
}

interface Problem {
  reason: BootstrapDataErrorReason;
  path: Path;
  message: string;
}

function validate(document: Record<string, unknown>): { values: Record<string, unknown>; problems: Problem[] } {
  const schemas = new Map(MODULES.flatMap((module) => Object.entries(module.keys)));
  const values: Record<string, unknown> = {};
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries(document)) {
    const schema = schemas.get(key);
    if (schema === undefined) {
      if (!WITHOUT_EFFECT.has(key)) problems.push(unsupported([key]));
      continue;
    }
    const result = schema.safeParse(value);
    if (result.success) values[key] = result.data;
    else problems.push(...result.error.issues.flatMap((issue) => problemsOf(issue, [key])));
  }
  return { values, problems };
}

function unsupported(path: Path): Problem {
  // The same names within users and elsewhere mean the same.
  const why = REFUSED.get(String(path.at(-1)));
  return { reason: 'BootstrapKeyUnsupported', path, message: `this key is not supported${why === undefined ? '' : `: ${why}`}` };
}

function problemsOf(issue: z.core.$ZodIssue, above: Path): Problem[] {
  const path = [...above, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unsupported([...path, key]));
  const message = issue.message.endsWith('received undefined') ? 'is missing' : issue.message.replace(/^Invalid input: /, '');
  const given = issue.code === 'custom' ? (issue.params?.['reason'] as BootstrapDataErrorReason | undefined) : undefined;
  return [{ reason: given ?? 'BootstrapDataInvalid', path, message }];
}

function refusal(problems: Finding[]): BootstrapDataError {
  problems.sort((a, b) => (a.part ?? '').localeCompare(b.part ?? '') || (a.line ?? 0) - (b.line ?? 0));
  // A document that is wrong has to be corrected before anything else of it can be honoured.
  const reason = (problems.find((problem) => problem.reason !== 'BootstrapKeyUnsupported')?.reason ??
    'BootstrapKeyUnsupported') as BootstrapDataErrorReason;
  const named = problems.slice(0, MAX_NAMED).map(sentenceOf);
  if (problems.length > MAX_NAMED) named.push(`and ${problems.length - MAX_NAMED} more`);
  return new BootstrapDataError(reason, `the bootstrap data cannot be carried out: ${named.join('; ')}`, problems);
}
