import type { Condition } from '../../apis/infrastructure/status.ts';

export type NewCondition = Omit<Condition, 'lastTransitionTime'>;
/** The list with `condition` in it; the same array if nothing changed. */
export declare function setCondition(list: readonly Condition[] | undefined, condition: NewCondition, now: Date): Condition[];
export declare function getCondition(list: readonly Condition[] | undefined, type: string): Condition | undefined;
/** At most `max` characters, cut in the middle of a word if need be and marked with an ellipsis. */
export declare function clip(text: string, max: number): string;
