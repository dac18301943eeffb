/**
 * Jinja templates as cloud-init renders them: Jinja's grammar and Python's values, without anything of JavaScript in reach. The engines
 * on npm render with JavaScript's values, and say nothing where these differ.
 * What is not carried out is refused; nothing is rendered otherwise than by Python.
 */
import { BootstrapDataError, type Finding, type InstanceData } from '../plan.ts';
import { InstanceDict, variablesOf } from './instance.ts';
import { tokenize } from './lexer.ts';
import { globals } from './objects.ts';
import { boundedText, Refusal } from './refusal.ts';
import { Scope } from './scope.ts';
import { TemplateParser } from './statements.ts';
import { MISSING_PREFIX } from './values.ts';

/**
 * Renders the text under a `## template: jinja` header with the instance data that cloud-init would give it.
 * A variable that doesn't exist becomes CI_MISSING_JINJA_VAR/<name>, as in cloud-init, and a finding; so does one that is only asked for.
 * @param text without the header line
 * @throws BootstrapDataError BootstrapDataInvalid, HostUnknown
 */
export function renderTemplate(text: string, instance: InstanceData): { text: string; findings: Finding[] } {
  const asked = new Map<string, Finding>();
  const note = (path: string, message: string): unknown => asked.set(path, { reason: REASON, path, message });
  const scope = Scope.over(new InstanceDict('', variablesOf(instance), note));
  for (const [name, value] of Object.entries(globals())) scope.set(name, value);
  try {
    const rendered = boundedText(new TemplateParser(tokenize(text)).template()(scope.inner()));
    // As in cloud-init, whose engine drops a last line break that is then put back.
    for (const name of scope.missing) asked.set(name, missing(name));
    return { text: rendered + (text.endsWith('\n') ? '\n' : ''), findings: [...asked.values()] };
  } catch (cause) {
    // The stack of calls ends.
    const refusal = cause instanceof RangeError ? new Refusal('it is nested too deeply') : cause;
    if (!(refusal instanceof Refusal)) throw cause;
    const place = refusal.line === undefined ? '' : `line ${refusal.line + 1}: `; // The header is the first.
    const message = `${place}the Jinja template of the bootstrap data cannot be rendered: ${refusal.message}`;
    throw new BootstrapDataError('BootstrapDataInvalid', message);
  }
}

const REASON = 'TemplateVariableMissing';

const missing = (name: string): Finding => ({
  reason: REASON,
  path: name,
  message: `the template names a variable that a machine here does not have; ${MISSING_PREFIX}${name} stands in its place`,
});
