/** Gauges of how many objects of a cache are how, kept by what changes: no event costs more than the change of one object. */
import type { Gauge } from 'prom-client';
import type { KubernetesObject } from '../../apis/meta.ts';
import type { ChangeHandler } from './types.ts';

type Labels = Record<string, string>;

/**
 * A handler for Cache.onChange that tells of each count that changed. The cache's own last state of an object says what it counted as,
 * so that nothing is kept of any.
 * @param of what the object counts as; undefined: not at all.
 */
function tally<T extends KubernetesObject>(
  of: (object: T) => Labels | undefined,
  set: (labels: Labels, count: number, change: number) => void,
): ChangeHandler<T> {
  const counts = new Map<string, number>();
  const add = (key: string, change: 1 | -1): void => {
    const count = (counts.get(key) ?? 0) + change;
    if (count === 0) counts.delete(key);
    else counts.set(key, count);
    set(JSON.parse(key) as Labels, count, change);
  };
  const keyOf = (object: T): string | undefined => JSON.stringify(of(object));
  return ({ type, object, old }) => {
    const before = old && keyOf(old);
    const after = type === 'deleted' ? undefined : keyOf(object);
    if (before === after) return;
    if (before !== undefined) add(before, -1);
    if (after !== undefined) add(after, 1);
  };
}

/** Counts objects by labels that are there only while an object has them. */
export const countBy = <T extends KubernetesObject>(gauge: Gauge, of: (object: T) => Labels | undefined): ChangeHandler<T> =>
  tally(of, (labels, count) => {
    if (count === 0) gauge.remove(labels);
    else gauge.set(labels, count);
  });

/** As countBy, where `label` has one of `states`: all of them are there, if need be as 0, as long as any object has the other labels. */
export function countByState<T extends KubernetesObject>(
  gauge: Gauge,
  { label, states }: { label: string; states: readonly string[] },
  of: (object: T) => Labels | undefined,
): ChangeHandler<T> {
  const sizes = new Map<string, number>();
  return tally(of, (labels, count, change) => {
    const { [label]: state, ...group } = labels;
    const key = JSON.stringify(group);
    const size = (sizes.get(key) ?? 0) + change;
    if (size > 0 && !sizes.has(key)) for (const each of states) gauge.set({ ...group, [label]: each }, 0);
    sizes.set(key, size);
    gauge.set(labels, count);
    if (size > 0) return;
    sizes.delete(key);
    for (const each of states) gauge.remove({ ...group, [label]: each });
    if (state !== undefined && !states.includes(state)) gauge.remove(labels);
  });
}
