import type { z } from 'zod';
import { BootstrapDataError, type BootstrapDataErrorReason, type Finding, type InstanceData, type Step } from '../plan.ts';
import type { Context } from './module.ts';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';
import { parseYaml, type YamlDocument } from './parse.ts';
import { formatPath, type Path } from './path.ts';

/** Problems named in one message; a document with more has most likely one cause. */
const MAX_NAMED = 30;

/**
 * The steps of a #cloud-config document, in the order in which cloud-init's modules run.
 * @throws BootstrapDataError that names every problem of the document with its path and line
 */
export function planCloudConfig(text: string, instance: InstanceData): { steps: Step[]; findings: Finding[] } {
  const document = parseYaml(text);
  if (document.value === undefined) throw new BootstrapDataError('BootstrapDataEmpty', 'the cloud-config document holds no key');
  const { values, problems } = validate(document.value);
  const findings = [...document.findings];
  const context: Context = {
    instance,
    note: (reason, path, message) => findings.push({ reason, path: formatPath(path), line: document.line(path), message }),
  };
  if (problems.length > 0) throw refusal(problems, document, findings);
  for (const key of Object.keys(document.value)) {
    const why = WITHOUT_EFFECT.get(key);
    if (why !== undefined) context.note('KeyWithoutEffect', [key], `not carried out: ${why}`);
  }
  const steps = MODULES.filter((module) => Object.keys(module.keys).some((key) => key in values)).flatMap((module) =>
    module.plan(values, context),
  );
  return { steps, findings };
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

function refusal(problems: Problem[], document: YamlDocument, findings: Finding[]): BootstrapDataError {
  const located = problems.map((problem) => ({ ...problem, path: formatPath(problem.path), line: document.line(problem.path) }));
  located.sort((a, b) => a.line - b.line);
  // A document that is wrong has to be corrected before anything else of it can be honoured.
  const reason = located.find((problem) => problem.reason !== 'BootstrapKeyUnsupported')?.reason ?? 'BootstrapKeyUnsupported';
  const named = located.slice(0, MAX_NAMED).map(({ path, line, message }) => `${path} (line ${line}): ${message}`);
  if (located.length > MAX_NAMED) named.push(`and ${located.length - MAX_NAMED} more`);
  return new BootstrapDataError(reason, `the bootstrap data cannot be carried out: ${named.join('; ')}`, [...located, ...findings]);
}
