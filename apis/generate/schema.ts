/** zod to the structural schemas that Kubernetes takes: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema */
import { z } from 'zod';
import type { Rule } from '../infrastructure/rules.ts';

/** The part of JSONSchemaProps that the kinds need. */
export interface Schema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  nullable?: true;
  format?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
  items?: Schema;
  anyOf?: Schema[];
  enum?: string[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
  'x-kubernetes-list-type'?: 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-int-or-string'?: true;
  'x-kubernetes-preserve-unknown-fields'?: true;
  'x-kubernetes-validations'?: Rule[];
}

const INT32 = { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 };
const KEPT = [
  ...['description', 'type', 'nullable', 'format', 'enum', 'pattern', 'minLength', 'maxLength', 'minItems', 'maxItems', 'required'],
  ...['x-kubernetes-list-type', 'x-kubernetes-list-map-keys', 'x-kubernetes-int-or-string', 'x-kubernetes-preserve-unknown-fields'],
] as const satisfies (keyof Schema)[];

/** What z.toJSONSchema gives, as far as it is read here. */
type Raw = Omit<Schema, 'properties' | 'additionalProperties' | 'items'> & {
  properties?: Record<string, Raw>;
  additionalProperties?: Raw | boolean;
  items?: Raw;
};

/** Throws for a zod type that has no structural form, so that one is not lost in silence. */
export function structuralSchema(schema: z.ZodType): Schema {
  return structural(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'throw' }) as Raw, '$');
}

function structural(raw: Raw, path: string): Schema {
  if (raw['x-kubernetes-int-or-string'] === true) {
    return { ...pick(raw), anyOf: [{ type: 'integer' }, { type: 'string' }] };
  }
  if (raw.type === undefined) throw new Error(`${path}: has no type that a structural schema can express`);
  const schema = pick(raw);
  if (raw.type === 'integer') Object.assign(schema, integer(raw));
  // The API server checks the format itself; zod's pattern for it would only cost.
  if (raw.format === 'date-time') delete schema.pattern;
  if (raw.properties !== undefined && Object.keys(raw.properties).length > 0) {
    schema.properties = Object.fromEntries(
      Object.entries(raw.properties).map(([name, child]) => [name, structural(child, `${path}.${name}`)]),
    );
  }
  if (typeof raw.additionalProperties === 'object' && Object.keys(raw.additionalProperties).length > 0) {
    schema.additionalProperties = structural(raw.additionalProperties, `${path}[*]`);
  }
  if (raw.items !== undefined) schema.items = structural(raw.items, `${path}[]`);
  return schema;
}

const pick = (raw: Raw): Schema => Object.fromEntries(KEPT.filter((key) => raw[key] !== undefined).map((key) => [key, raw[key]]));

/** zod bounds every integer; a bound that only says how wide it is becomes the format. */
function integer({ minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER }: Raw): Schema {
  return {
    format: minimum >= INT32.minimum && maximum <= INT32.maximum ? 'int32' : 'int64',
    ...(minimum > Number.MIN_SAFE_INTEGER && minimum !== INT32.minimum && { minimum }),
    ...(maximum < Number.MAX_SAFE_INTEGER && maximum !== INT32.maximum && { maximum }),
  };
}
