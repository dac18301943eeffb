/** The reference pages, from the same schemas and tables that the API server and the operator get. */
import { CONDITION_TYPES, EXPLANATIONS, FINDINGS } from '../infrastructure/conditions.ts';
import { GROUP, SERVED_VERSIONS, STORAGE_VERSION } from '../infrastructure/group.ts';
import { rootSchema } from './crd.ts';
import type { Kind } from './kinds.ts';
import type { Schema } from './schema.ts';

const GENERATED = '<!-- Written by `npm run generate`. Do not edit. -->';

const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n');

const code = (text: string): string => `\`${text}\``;

/** docs/reference/api.md */
export function apiReference(kinds: Kind[]): string {
  return [
    GENERATED,
    '# API reference',
    `API group ${code(GROUP)}, versions ${SERVED_VERSIONS.map(code).join(' and ')}; objects are stored as ${code(STORAGE_VERSION)}. ` +
      'Both versions have the same fields, so a manifest of either may be applied and read back as the other. ' +
      'No field has a default in the schema: what happens where a field is not set is part of its description.',
    ...kinds.map(kindReference),
    '',
  ].join('\n\n');
}

function kindReference(kind: Kind): string {
  const root = rootSchema(kind);
  const fields = ['spec', 'status'].flatMap((name) => fieldRows(name, root.properties?.[name], root.required?.includes(name) ?? false));
  const rules = kind.rules.map(({ fieldPath, message }) => `- ${code(fieldPath.slice(1))}: ${message}.`);
  return [
    `## ${kind.kind}`,
    kind.description,
    `Short name ${code(kind.shortName)}.`,
    table(['Field', 'Type', 'Rules', 'Description'], fields),
    ...(rules.length > 0 ? ['Changes that are refused:', rules.join('\n')] : []),
  ].join('\n\n');
}

function fieldRows(path: string, schema: Schema | undefined, required: boolean): string[][] {
  if (schema === undefined) return [];
  const inner = schema.items ?? schema;
  const innerPath = schema.items === undefined ? path : `${path}[]`;
  return [
    [code(path), typeName(schema), rulesOf(schema, required).join(', '), schema.description ?? ''],
    ...Object.entries(inner.properties ?? {}).flatMap(([name, child]) =>
      fieldRows(`${innerPath}.${name}`, child, inner.required?.includes(name) ?? false),
    ),
  ];
}

function typeName(schema: Schema): string {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema.items !== undefined) return `list of ${typeName(schema.items)}`;
  if (schema.additionalProperties !== undefined) return `map of ${typeName(schema.additionalProperties)}`;
  if (schema.format === 'date-time') return 'time';
  return schema.type ?? 'any';
}

function rulesOf(schema: Schema, required: boolean): string[] {
  const range = (what: string, low: number | undefined, high: number | undefined): string[] => {
    if (low === undefined && high === undefined) return [];
    if (high === undefined) return [`${what} at least ${low ?? 0}`];
    return [low === undefined ? `${what} at most ${high}` : `${what} ${low} to ${high}`];
  };
  const keys = schema['x-kubernetes-list-map-keys'];
  return [
    ...(required ? ['required'] : []),
    ...(schema.enum === undefined ? [] : [`one of ${schema.enum.map(code).join(', ')}`]),
    ...range('length', schema.minLength, schema.maxLength),
    ...range('items', schema.minItems, schema.maxItems),
    ...range('value', schema.minimum, schema.maximum),
    ...(schema.pattern === undefined ? [] : [`matches ${code(schema.pattern)}`]),
    ...(keys === undefined ? [] : [`unique by ${keys.map(code).join(', ')}`]),
  ];
}

/** docs/reference/conditions.md */
export function conditionsReference(): string {
  return [
    GENERATED,
    '# Conditions and reasons',
    'Whatever the operator waits for or fails at is a condition with one of these reasons and a message that names the object concerned; changes are Events with the same reasons. [Troubleshooting](../troubleshooting.md) says where to begin.',
    '## Condition types',
    table(
      ['Type', 'Kinds', 'True means'],
      Object.entries(CONDITION_TYPES).map(([type, { kinds, means }]) => [code(type), kinds.join(', '), means]),
    ),
    '## Reasons',
    table(
      ['Reason', 'Meaning', 'What to do'],
      Object.entries(EXPLANATIONS).map(([reason, { means, action }]) => [code(reason), means, action ?? '']),
    ),
    '## Warnings about bootstrap data',
    'Events only: the data is carried out, but perhaps not as its author thinks. The message names the key and its line.',
    table(
      ['Reason', 'Meaning'],
      Object.entries(FINDINGS).map(([reason, means]) => [code(reason), means]),
    ),
    '',
  ].join('\n\n');
}
