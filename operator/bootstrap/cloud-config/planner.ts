import { Budget } from '../format.ts';
import type { Finding, InstanceData, Step } from '../plan.ts';
import { located, type Problem, problemsOf, refusal } from '../problems.ts';
import { type Located, placeOf } from './located.ts';
import type { Context } from './module.ts';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';
import { runcmd } from './modules/runcmd.ts';
import { formatPath, type Path } from './path.ts';

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
  budget = new Budget(),
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
  if (problems.length > 0) {
    throw refusal(
      problems.map((problem) => located(problem, (path) => where(document, path))),
      findings,
    );
  }
  const context: Context = { instance, budget, note: (...words) => findings.push(finding(...words)) };
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
  const key = String(path.at(-1));
  const why = REFUSED.get(`${path[0]}.${key}`) ?? REFUSED.get(key);
  return { reason: 'BootstrapKeyUnsupported', path, message: `this key is not supported${why === undefined ? '' : `: ${why}`}` };
}
