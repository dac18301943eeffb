/** A kind as a CustomResourceDefinition. */
import { GROUP, SERVED_VERSIONS, STORAGE_VERSION } from '../infrastructure/group.ts';
import type { Column, Kind } from './kinds.ts';
import type { Schema } from './schema.ts';
import { structuralSchema } from './schema.ts';

export interface Version {
  name: string;
  served: boolean;
  storage: boolean;
  subresources?: { status: object };
  additionalPrinterColumns: Column[];
  schema: { openAPIV3Schema: Schema };
}

export interface CustomResourceDefinition {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels: Record<string, string> };
  spec: {
    group: string;
    scope: string;
    names: { kind: string; listKind: string; plural: string; singular: string; shortNames: string[]; categories: string[] };
    conversion: { strategy: string };
    versions: Version[];
  };
}

/** Cluster API's core reads which contracts a kind serves, clusterctl which kinds are ours, from these labels. */
const LABELS = {
  'cluster.x-k8s.io/provider': 'infrastructure-remote',
  'cluster.x-k8s.io/v1beta1': 'v1beta1',
  'cluster.x-k8s.io/v1beta2': 'v1beta2',
  'clusterctl.cluster.x-k8s.io': '',
};

export function customResourceDefinition(kind: Kind): CustomResourceDefinition {
  const singular = kind.kind.toLowerCase();
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${GROUP}`, labels: { ...LABELS, ...kind.labels } },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular,
        shortNames: [kind.shortName],
        categories: ['cluster-api'],
      },
      // Both versions have one schema, so there is nothing to convert and no webhook to run.
      conversion: { strategy: 'None' },
      versions: SERVED_VERSIONS.map((name) => ({
        name,
        served: true,
        storage: name === STORAGE_VERSION,
        ...(kind.statusSubresource && { subresources: { status: {} } }),
        additionalPrinterColumns: kind.columns,
        schema: { openAPIV3Schema: rootSchema(kind) },
      })),
    },
  };
}

/** The schema of a whole object. */
export function rootSchema(kind: Kind): Schema {
  return {
    description: kind.description,
    type: 'object',
    properties: {
      apiVersion: { description: 'Version of the schema that the object is written in: API group and version.', type: 'string' },
      kind: { description: 'Kind of the object.', type: 'string' },
      // Implied; the API server takes nothing more here, not even a description.
      metadata: { type: 'object' },
      spec: { description: 'What is wanted.', ...structuralSchema(kind.spec) },
      ...(kind.status && { status: { description: statusDescription(kind), ...structuralSchema(kind.status) } }),
    },
    ...(kind.specRequired && { required: ['spec'] }),
    ...(kind.rules.length > 0 && { 'x-kubernetes-validations': kind.rules }),
  };
}

const statusDescription = (kind: Kind): string =>
  kind.statusSubresource ? 'What the operator reports.' : 'What is known beforehand of the objects made from it; written by people.';
