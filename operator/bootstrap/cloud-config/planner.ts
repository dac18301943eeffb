import { BootstrapDataError, type Finding, type InstanceData, type Step } from '../plan.ts';
import { located, type Problem, problemsOf, refusal } from '../problems.ts';
import type { Context } from './module.ts';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';
import { parseYaml } from './parse.ts';
import { formatPath, type Path } from './path.ts';

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
  if (problems.length > 0) {
    throw refusal(
      problems.map((problem) => located(problem, document.line)),
      findings,
    );
  }
  for (const key of Object.keys(document.value)) {
    const why = WITHOUT_EFFECT.get(key);
    if (why !== undefined) context.note('KeyWithoutEffect', [key], `not carried out: ${why}`);
  }
  const steps = MODULES.filter((module) => Object.keys(module.keys).some((key) => key in values)).flatMap((module) =>
    module.plan(values, context),
  );
  return { steps, findings };
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
    else problems.push(...result.error.issues.flatMap((issue) => problemsOf(issue, [key], unsupported)));
  }
  return { values, problems };
}

function unsupported(path: Path): Problem {
  // The same names within users and elsewhere mean the same.
  const why = REFUSED.get(String(path.at(-1)));
  return { reason: 'BootstrapKeyUnsupported', path, message: `this key is not supported${why === undefined ? '' : `: ${why}`}` };
}
