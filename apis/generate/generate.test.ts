import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { customResourceDefinition, rootSchema } from './crd.ts';
import { generate } from './generate.ts';
import { KINDS } from './kinds.ts';
import type { Kind } from './kinds.ts';
import type { Schema } from './schema.ts';
import { structuralSchema } from './schema.ts';

const root = path.join(__dirname, '../..');
const kindNamed = (name: string): Kind => KINDS.find(({ kind }) => kind === name)!;

/** Every schema of a tree with its path. */
function walk(schema: Schema, at = '$'): [string, Schema][] {
  return [
    [at, schema],
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) => walk(child, `${at}.${name}`)),
    ...(schema.items === undefined ? [] : walk(schema.items, `${at}[]`)),
    ...(schema.additionalProperties === undefined ? [] : walk(schema.additionalProperties, `${at}[*]`)),
  ];
}

describe('the committed files', () => {
  test('are what the schemas give', async () => {
    for (const [name, text] of await generate())
      expect({ name, text: readFileSync(path.join(root, name), 'utf8') }).toEqual({ name, text });
  });
});

describe.each(KINDS.map((kind) => [kind.kind, kind] as const))('%s', (_name, kind) => {
  const crd = customResourceDefinition(kind);

  test('serves both contracts from one schema and stores v1beta2', () => {
    expect(crd.metadata.labels).toMatchObject({
      'cluster.x-k8s.io/v1beta1': 'v1beta1',
      'cluster.x-k8s.io/v1beta2': 'v1beta2',
      'cluster.x-k8s.io/provider': 'infrastructure-remote',
      'clusterctl.cluster.x-k8s.io': '',
    });
    const [first, second] = crd.spec.versions;
    expect([first!.name, first!.storage, second!.name, second!.storage]).toEqual(['v1beta1', false, 'v1beta2', true]);
    expect(first!.schema).toEqual(second!.schema);
    expect(crd.spec.conversion).toEqual({ strategy: 'None' });
  });

  test('fits the annotation of kubectl apply with room to spare', () => {
    expect(JSON.stringify(crd).length).toBeLessThan(64 * 1024);
  });

  test('leaves metadata to the API server, which refuses more than its type', () => {
    expect(rootSchema(kind).properties?.metadata).toEqual({ type: 'object' });
  });

  test('every field has a description that is a sentence', () => {
    for (const [at, { description }] of walk(rootSchema(kind))) {
      if (at !== '$.metadata' && !at.endsWith('[]') && !at.endsWith('[*]')) expect(`${at}: ${description ?? ''}`).toMatch(/: \S[^\n]+\.$/);
    }
  });

  test('is structural: every schema has a type, no default, and is an object or a map but not both', () => {
    for (const [at, schema] of walk(rootSchema(kind))) {
      const intOrString = schema['x-kubernetes-int-or-string'] === true;
      expect({ at, typed: schema.type !== undefined || intOrString }).toEqual({ at, typed: true });
      expect({ at, both: schema.properties !== undefined && schema.additionalProperties !== undefined }).toEqual({ at, both: false });
      expect(schema).not.toHaveProperty('default');
      if (schema.type === 'array') expect({ at, items: schema.items !== undefined }).toEqual({ at, items: true });
      if (schema.pattern !== undefined) expect(() => new RegExp(schema.pattern!)).not.toThrow();
    }
  });

  test('lists by key have their keys and name required fields', () => {
    for (const [at, schema] of walk(rootSchema(kind)).filter(([, { 'x-kubernetes-list-type': type }]) => type === 'map')) {
      const keys = schema['x-kubernetes-list-map-keys'] ?? [];
      expect({ at, keys: keys.length }).toEqual({ at, keys: 1 });
      expect({ at, required: keys.every((key) => schema.items?.required?.includes(key)) }).toEqual({ at, required: true });
    }
  });

  test('rules point at fields that exist', () => {
    for (const { fieldPath } of kind.rules) {
      const found = fieldPath
        .slice(1)
        .split('.')
        .reduce<Schema | undefined>((schema, name) => schema?.properties?.[name], rootSchema(kind));
      expect({ fieldPath, found: found?.type }).toEqual({ fieldPath, found: 'string' });
    }
  });
});

test('conditions merge by type and failure domains by name', () => {
  const status = rootSchema(kindNamed('RemoteCluster')).properties!.status!;
  expect(status.properties!.conditions).toMatchObject({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] });
  expect(status.properties!.failureDomains).toMatchObject({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] });
});

test('the Job template is kept as it is and a size may be a number or a quantity', () => {
  const job = rootSchema(kindNamed('RemoteMachine')).properties!.spec!.properties!.provisionJob!.properties!.jobSpecTemplate!;
  expect(job).toMatchObject({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true });
  const capacity = rootSchema(kindNamed('RemoteMachineTemplate')).properties!.status!.properties!.capacity!;
  expect(capacity.additionalProperties).toEqual({ 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] });
});

test('only entries are moved by label, and only objects with a controller have a status subresource', () => {
  const moved = KINDS.filter((kind) => 'clusterctl.cluster.x-k8s.io/move' in customResourceDefinition(kind).metadata.labels);
  expect(moved.map(({ kind }) => kind)).toEqual(['PooledRemoteMachine']);
  const reported = KINDS.filter((kind) =>
    customResourceDefinition(kind).spec.versions.every(({ subresources }) => subresources !== undefined),
  );
  expect(reported.map(({ kind }) => kind)).toEqual(['RemoteCluster', 'RemoteMachine', 'PooledRemoteMachine']);
});

describe('structuralSchema', () => {
  test.each([
    ['z.int32()', z.int32(), { type: 'integer', format: 'int32' }],
    ['z.int()', z.int(), { type: 'integer', format: 'int64' }],
    ['a port', z.int32().min(1).max(65535), { type: 'integer', format: 'int32', minimum: 1, maximum: 65535 }],
    ['a size', z.int().min(0), { type: 'integer', format: 'int64', minimum: 0 }],
    ['a time', z.iso.datetime(), { type: 'string', format: 'date-time' }],
    ['labels', z.record(z.string(), z.string()), { type: 'object', additionalProperties: { type: 'string' } }],
    ['an object', z.object({ a: z.string().optional() }), { type: 'object', properties: { a: { type: 'string' } } }],
    ['any object', z.looseObject({}), { type: 'object' }],
  ])('%s', (_name, schema, expected) => {
    expect(structuralSchema(schema)).toEqual(expected);
  });

  test.each([
    ['a union', z.object({ a: z.union([z.string(), z.int()]) }), /\$\.a/],
    ['anything', z.object({ a: z.unknown() }), /\$\.a/],
    ['a date', z.object({ a: z.date() }), /date/i],
  ])('refuses %s, and says where', (_name, schema, message) => {
    expect(() => structuralSchema(schema)).toThrow(message);
  });
});
