import { keyOf, type KubernetesObject } from '../../../apis/meta.ts';
import type { ObjectStore } from '../cache.ts';

/** As a list of these objects as of `version` fills it. */
export function replace<T extends KubernetesObject>(store: ObjectStore<T>, objects: readonly T[], version: string): void {
  for (const object of objects) store.putListed(object);
  store.endList(new Set(objects.map(keyOf)), version);
}
