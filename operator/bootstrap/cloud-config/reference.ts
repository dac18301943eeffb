/** docs/reference/cloud-config.md, from the schemas of the modules. */
import { z } from 'zod';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';

/** As much of JSON Schema as zod writes of the modules. */
export interface Schema {
  type?: string | string[];
  const?: string | number | boolean | null;
  enum?: unknown[];
  anyOf?: Schema[];
  items?: Schema;
  prefixItems?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
}

const PAGE = `# Keys of cloud-config

<!-- Written by \`npm run generate\` from the schemas in operator/bootstrap/cloud-config/modules. Do not edit. -->

What a \`#cloud-config\` document may hold, in the order in which it is carried out, whatever order the document has it in. The whole document is checked before its host is touched: one with any other key, or with a value of another kind, fails with the path and the line of what is wrong. What the keys do is [cloud-init's own documentation](https://docs.cloud-init.io/en/latest/reference/modules.html); [where the outcome differs](../cloud-config-differences.md) has a page of its own.
`;

export function cloudConfigReference(): string {
  const keys = new Map(MODULES.flatMap((module) => Object.entries(module.keys)));
  const rows = [...keys].flatMap(([key, schema]) => {
    const written = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
    return rowsOf(key, written);
  });
  return [
    PAGE,
    '## Carried out',
    '',
    table(['key', 'value'], rows),
    '## Without effect',
    '',
    'Taken, with a Warning Event (reason KeyWithoutEffect) where they stand in a document.',
    '',
    table(['key', 'why'], [...WITHOUT_EFFECT]),
    '## Refused',
    '',
    'A document with one of them fails with the reason BootstrapKeyUnsupported and these words, as with any key that is not on this page.',
    '',
    table(['key', 'why'], [...REFUSED]),
  ].join('\n');
}

export const table = (head: string[], rows: [string, ...string[]][]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => ' --- |').join('')}`,
    ...rows.map(([key, ...words]) => `| ${[`\`${key}\``, ...words.map((word) => word.replaceAll('|', '\\|'))].join(' | ')} |`),
    '',
  ].join('\n');

/** The key itself, then what it holds. */
export function rowsOf(path: string, schema: Schema): [string, string][] {
  return [[path, kindOf(schema)], ...below(path, schema)];
}

function below(path: string, schema: Schema): [string, string][] {
  const rows = (schema.anyOf ?? []).flatMap((one) => below(path, one));
  if (schema.items !== undefined) rows.push(...below(`${path}[]`, schema.items));
  for (const [name, one] of Object.entries(schema.properties ?? {})) rows.push(...rowsOf(`${path}.${name}`, one));
  if (typeof schema.additionalProperties === 'object') rows.push(...below(`${path}.*`, schema.additionalProperties));
  const seen = new Set<string>();
  return rows.filter(([name]) => !seen.has(name) && seen.add(name));
}

/** `text`, `list of text or number`. */
function kindOf(schema: Schema): string {
  const types = Array.isArray(schema.type) ? schema.type.map((type): Schema => ({ type })) : [schema];
  const kinds = (schema.anyOf ?? types).map(simple).filter((kind) => kind !== 'nothing');
  return [...new Set(kinds)].join(' or ') || 'nothing';
}

const NAMES: Record<string, string> = { string: 'text', boolean: 'true or false', number: 'number', integer: 'number', null: 'nothing' };

function simple(schema: Schema): string {
  if (schema.anyOf !== undefined || Array.isArray(schema.type)) return kindOf(schema);
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => (value === '' ? 'empty text' : `\`${String(value)}\``)).join(', ');
  if (schema.type === 'array') return `list of ${kindOf(schema.items ?? schema.prefixItems?.[0] ?? {})}`;
  if (schema.type === 'object') return 'map';
  return NAMES[schema.type ?? ''] ?? 'data';
}
