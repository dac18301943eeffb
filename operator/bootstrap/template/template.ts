/**
 * Jinja templates as cloud-init renders them: Jinja's grammar and Python's values, without anything of JavaScript in reach. The engines
 * on npm render with JavaScript's values, and say nothing where these differ.
 * What is not carried out is refused; nothing is rendered otherwise than by Python.
 */
import { BootstrapDataError, type Finding, type InstanceData } from '../plan.ts';
import { tokenize } from './lexer.ts';
import { globals } from './objects.ts';
import { boundedText, Refusal } from './refusal.ts';
import { Scope } from './scope.ts';
import { TemplateParser } from './statements.ts';
import { Dict, MISSING_PREFIX, type Value } from './values.ts';

/**
 * Renders the text under a `## template: jinja` header with the instance data that cloud-init would give it.
 * A variable that doesn't exist becomes CI_MISSING_JINJA_VAR/<name>, as in cloud-init, and a finding.
 * @param text without the header line
 * @throws BootstrapDataError BootstrapDataInvalid
 */
export function renderTemplate(text: string, instance: InstanceData): { text: string; findings: Finding[] } {
  const scope = new Scope();
  for (const [name, value] of Object.entries(globals())) scope.set(name, value);
  for (const [name, variable] of Object.entries(instanceVariables(instance))) scope.set(name, valueOf(variable));
  try {
    const rendered = boundedText(new TemplateParser(tokenize(text)).template()(scope.inner()));
    // As in cloud-init, whose engine drops a last line break that is then put back.
    return { text: rendered + (text.endsWith('\n') ? '\n' : ''), findings: [...scope.missing].map(missing) };
  } catch (cause) {
    // The stack of calls ends.
    const refusal = cause instanceof RangeError ? new Refusal('it is nested too deeply') : cause;
    if (!(refusal instanceof Refusal)) throw cause;
    const place = refusal.line === undefined ? '' : `line ${refusal.line + 1}: `; // The header is the first.
    const message = `${place}the Jinja template of the bootstrap data cannot be rendered: ${refusal.message}`;
    throw new BootstrapDataError('BootstrapDataInvalid', message);
  }
}

const missing = (name: string): Finding => ({
  reason: 'TemplateVariableMissing',
  path: name,
  message: `the template names a variable that a machine here does not have; ${MISSING_PREFIX}${name} stands in its place`,
});

/** cloud-init's standardised instance data (v1, also at the top level) and the metadata that bootstrap providers name. */
export function instanceVariables(instance: InstanceData): Record<string, Variable> {
  const given = (name: string, value: string | undefined) => (value === undefined ? {} : { [name]: value });
  const zone = instance.failureDomain;
  const place = { ...given('availability_zone', zone), ...given('availability-zone', zone), ...given('region', zone) };
  const system = { ...given('kernel_release', instance.kernelRelease), ...given('machine', instance.architecture) };
  const identity = {
    hostname: instance.hostname,
    instance_id: instance.instanceID,
    'instance-id': instance.instanceID,
    local_hostname: instance.hostname,
    'local-hostname': instance.hostname,
    ...place,
  };
  const v1 = {
    ...identity,
    ...system,
    cloud_name: 'remote',
    'cloud-name': 'remote',
    cloud_id: 'remote',
    'cloud-id': 'remote',
    platform: 'remote',
  };
  return { ...v1, v1, ds: { meta_data: identity } };
}

type Variable = string | { [name: string]: Variable };

const valueOf = (variable: Variable): Value =>
  typeof variable === 'string' ? variable : new Dict(Object.entries(variable).map(([name, inner]) => [name, valueOf(inner)]));
