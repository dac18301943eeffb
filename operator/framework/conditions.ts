/** Lists of metav1.Condition, changed as k8s.io/apimachinery's meta.SetStatusCondition does. */
import { CONDITION } from '../../apis/infrastructure/conditions.ts';
import type { Condition } from '../../apis/infrastructure/status.ts';

export type NewCondition = Omit<Condition, 'lastTransitionTime'>;

/** Length that the schema of a condition's message allows. */
const MAX_MESSAGE = 32_768;

/** As `clusterctl describe` and `kubectl describe` show them: Ready first, then in the order of a machine's life, Paused last. */
const ORDER: readonly string[] = Object.values(CONDITION);
const placeOf = ({ type }: Condition): number => (ORDER.includes(type) ? ORDER.indexOf(type) : ORDER.length);

/**
 * The list with `condition` in it, in place of one of its type or where its type belongs. lastTransitionTime moves only with the status.
 * The same array if nothing changed, so that `===` tells whether there is anything to write.
 */
export function setCondition(list: readonly Condition[] | undefined, condition: NewCondition, now: Date): Condition[] {
  const old = getCondition(list, condition.type);
  const next: Condition = {
    ...condition,
    message: clip(condition.message, MAX_MESSAGE),
    lastTransitionTime: old?.status === condition.status ? old.lastTransitionTime : timestamp(now),
  };
  if (old !== undefined && same(old, next)) return list as Condition[];
  const others = (list ?? []).filter((entry) => entry !== old);
  return [...others, next].sort((a, b) => placeOf(a) - placeOf(b));
}

export function getCondition(list: readonly Condition[] | undefined, type: string): Condition | undefined {
  return list?.find((condition) => condition.type === type);
}

/** At most `max` UTF-16 units of text, the last one an ellipsis if something was cut; never half a surrogate pair. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  return text.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, '') + '…';
}

const same = (a: Condition, b: Condition): boolean =>
  a.status === b.status && a.reason === b.reason && a.message === b.message && a.observedGeneration === b.observedGeneration;

/** metav1.Time: whole seconds. */
const timestamp = (time: Date): string => `${time.toISOString().slice(0, 19)}Z`;
