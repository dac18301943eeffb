/** A kind to test with. */
import type { KubernetesObject } from '../../../apis/meta.ts';
import type { Resource } from '../types.ts';

export const WIDGETS: Resource = { group: 'example.com', version: 'v1', plural: 'widgets', kind: 'Widget', namespaced: true };
export const LEASES: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', namespaced: true };
export const EVENTS: Resource = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event', namespaced: true };

export type Widget = KubernetesObject<{ size?: number; color?: string }, { phase?: string }>;

/** As a user writes it. */
export const widget = (name: string, spec: object = { size: 1 }, metadata: object = {}): Widget =>
  ({ metadata: { namespace: 'default', name, ...metadata }, spec }) as Widget;
