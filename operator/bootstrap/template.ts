import { MAX_DOCUMENT_BYTES } from './format.ts';
import { BootstrapDataError, type Finding, type InstanceData } from './plan.ts';
import { Environment, Interpreter, type Node, parse, type Scope, type Token, tokenize, type Value } from './template-engine.ts';
import { scan, type Piece } from './template-scanner.ts';
import { asText } from './template-values.ts';

/** What cloud-init writes in place of a variable that doesn't exist (its templater.py). */
export const MISSING_PREFIX = 'CI_MISSING_JINJA_VAR/';
/** Nodes of the template evaluated, loops counted as often as they run. A real document takes some hundreds. */
const MAX_STEPS = 200_000;
/** Elements that range() may give. */
const MAX_RANGE = 10_000;
const CONSTANTS = { true: true, True: true, false: false, False: false, none: null, None: null };
const STATEMENTS = new Set(
  'for endfor if elif else endif set endset macro endmacro call endcall filter endfilter break continue'.split(' '),
);

/**
 * Renders the text under a `## template: jinja` header with the instance data that cloud-init would give it, and nothing else
 * in reach. A variable that doesn't exist becomes CI_MISSING_JINJA_VAR/<name>, as in cloud-init, and a finding.
 * @param text without the header line
 * @throws BootstrapDataError BootstrapDataInvalid
 */
export function renderTemplate(text: string, instance: InstanceData): { text: string; findings: Finding[] } {
  const environment = new Environment();
  for (const [name, value] of Object.entries(variables(instance))) environment.set(name, value);
  for (const [name, value] of Object.entries({ ...CONSTANTS, range: boundedRange })) environment.set(name, value);
  const interpreter = new BoundedInterpreter(environment);
  try {
    // As in cloud-init, whose engine drops a last line break that is then put back.
    const lastBreak = text.endsWith('\n') ? '\n' : '';
    const pieces = scan(text.slice(0, text.length - lastBreak.length));
    const program = parse(pieces.flatMap(tokensOf));
    interpreter.markOutputs(program, pieces);
    const rendered = String(interpreter.run(program).value);
    return { text: rendered + lastBreak, findings: interpreter.missing() };
  } catch (cause) {
    if (cause instanceof BootstrapDataError) throw cause;
    const { failedAt } = interpreter;
    const engine =
      failedAt === undefined ? 'a block is not closed, or an expression' : 'an expression with a filter, a method or an operator that';
    // The engine's own message may quote the template, so it goes no further.
    const what = cause instanceof Refused ? cause.message : `${engine} cannot be evaluated`;
    const place = failedAt === undefined ? '' : `line ${failedAt + 1}: `;
    throw new BootstrapDataError('BootstrapDataInvalid', `${place}the Jinja template of the bootstrap data cannot be rendered: ${what}`);
  }
}

/** cloud-init's standardised instance data (v1, also at the top level) and the metadata that bootstrap providers name. */
function variables(instance: InstanceData): Record<string, unknown> {
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

function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  const length = Math.ceil((to - from) / step);
  if (!Number.isFinite(length) || length > MAX_RANGE) throw new Refused(`range() gives more than ${MAX_RANGE} elements`);
  return Array.from({ length: Math.max(0, length) }, (_, index) => from + index * step);
}

function tokensOf(piece: Piece): Token[] {
  if (piece.kind === 'text') return [{ type: 'Text', value: piece.value }];
  const fail = (what: string) =>
    new BootstrapDataError('BootstrapDataInvalid', `line ${piece.line + 1}: the Jinja template of the bootstrap data has ${what}`);
  if (piece.kind === 'statement') {
    const keyword = /^\s*([a-z]+)/.exec(piece.value)?.[1] ?? '';
    if (!STATEMENTS.has(keyword)) throw fail('a statement that is not supported');
  }
  try {
    const tokens = tokenize(piece.kind === 'statement' ? `{% ${piece.value} %}` : `{{ ${piece.value} }}`);
    if (piece.kind === 'expression') parse(tokens);
    return tokens;
  } catch {
    throw fail('a syntax error');
  }
}

/** Its message has nothing of the template but names. */
class Refused extends Error {}

/** The engine, with its work counted and its undefined outputs named. */
class BoundedInterpreter extends Interpreter {
  #steps = 0;
  /** In the order of the template. */
  readonly #outputs = new Set<Node>();
  readonly #lines = new Map<Node, number>();
  /** Line of the innermost expression that could not be written out. */
  failedAt: number | undefined;
  readonly #missing = new Set<string>();
  readonly #owners = new Set<Node>();

  /** Finds the expressions whose value is written out, those that stand in a block's body, and where they are. */
  markOutputs(program: Node, pieces: Piece[]): void {
    this.#mark(program);
    const written = [...this.#outputs].filter((node) => !isStatement(node));
    const places = pieces.filter(({ kind }) => kind !== 'statement');
    if (written.length === places.length) written.forEach((node, index) => this.#lines.set(node, places[index]?.line ?? 1));
  }

  #mark(node: Node): void {
    for (const child of [...(node.body ?? []), ...(node.alternate ?? []), ...(node.defaultBlock ?? [])]) {
      this.#outputs.add(child);
      this.#mark(child);
    }
  }

  missing(): Finding[] {
    return [...this.#missing].map((name) => ({
      reason: 'TemplateVariableMissing',
      path: name,
      message: `the template names a variable that a machine here does not have; ${MISSING_PREFIX}${name} stands in its place`,
    }));
  }

  override evaluate(node: Node | undefined, scope: Scope): Value {
    try {
      const value = this.#evaluate(node, scope);
      if (node === undefined || !this.#outputs.has(node) || isStatement(node)) return value;
      return textValue(this.#written(node, value));
    } catch (cause) {
      this.failedAt ??= node && this.#lines.get(node);
      throw cause;
    }
  }

  #evaluate(node: Node | undefined, scope: Scope): Value {
    if (++this.#steps > MAX_STEPS) throw new Refused(`it takes more than ${MAX_STEPS} steps`);
    if (node?.object !== undefined) this.#owners.add(node.object);
    const value = node?.operator?.value === '~' ? this.#concatenated(node, scope) : super.evaluate(node, scope);
    // Also in a test for what is defined; cloud-init passes over the whole document.
    if (node !== undefined && value.type === 'UndefinedValue' && this.#owners.has(node)) {
      throw new Refused(`it asks for a member of ${nameOf(node)}, which a machine here does not have`);
    }
    if (typeof value.value === 'string' && value.value.length > MAX_DOCUMENT_BYTES) {
      throw new Refused(`it grows to more than ${MAX_DOCUMENT_BYTES} characters`);
    }
    return value;
  }

  #concatenated({ left, right }: Node, scope: Scope): Value {
    const [before = '', after = ''] = [left, right].map((side) => side && this.#written(side, this.evaluate(side, scope)));
    return textValue(before + after);
  }

  #written(node: Node, value: Value): string {
    if (value.type !== 'UndefinedValue') return asText(value);
    if (node.type === 'SelectExpression') return ''; // `x if y` without an else
    const name = nameOf(node);
    this.#missing.add(name);
    return MISSING_PREFIX + name;
  }
}

const textValue = (text: string): Value => new Environment().set('text', text);

function isStatement(node: Node): boolean {
  return ['If', 'For', 'Set', 'Macro', 'CallStatement', 'FilterStatement', 'Comment', 'Break', 'Continue'].includes(node.type);
}

/** The last name of `a.b['c']`, which is what cloud-init writes. */
function nameOf(node: Node): string {
  if (node.property !== undefined) return nameOf(node.property);
  return (node.type === 'Identifier' || node.type === 'StringLiteral') && typeof node.value === 'string' ? node.value : 'None';
}
