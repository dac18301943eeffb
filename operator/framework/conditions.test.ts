import type { Condition } from '../../apis/infrastructure/status.ts';
import { clip, getCondition, setCondition } from './conditions.ts';

const before = new Date('2026-01-02T03:04:05.678Z');
const after = new Date('2026-01-02T03:09:00Z');
const waiting = { type: 'Ready', status: 'Unknown', reason: 'Waiting', message: 'for a host' } as const;

describe('setCondition', () => {
  test('adds a condition with the time in whole seconds', () => {
    expect(setCondition(undefined, waiting, before)).toEqual([{ ...waiting, lastTransitionTime: '2026-01-02T03:04:05Z' }]);
  });

  test('gives the same array if nothing changed', () => {
    const list = setCondition([], { ...waiting, observedGeneration: 3 }, before);
    expect(setCondition(list, { ...waiting, observedGeneration: 3 }, after)).toBe(list);
  });

  test.each([
    ['reason', { ...waiting, reason: 'Other' }, '2026-01-02T03:04:05Z'],
    ['message', { ...waiting, message: 'other' }, '2026-01-02T03:04:05Z'],
    ['observedGeneration', { ...waiting, observedGeneration: 2 }, '2026-01-02T03:04:05Z'],
    ['status', { ...waiting, status: 'True' as const }, '2026-01-02T03:09:00Z'],
  ])('a new %s is taken; the time moves only with the status', (_, next, time) => {
    const other: Condition = { ...waiting, type: 'Paused', lastTransitionTime: '2020-01-01T00:00:00Z' };
    const list = [...setCondition([], waiting, before), other];
    const changed = setCondition(list, next, after);
    expect(changed).not.toBe(list);
    expect(changed).toEqual([{ ...next, lastTransitionTime: time }, other]);
    expect(getCondition(changed, 'Ready')?.lastTransitionTime).toBe(time);
  });

  test('Ready comes first, then a machine’s life in order, Paused last, and types that others made after all', () => {
    const types = ['Paused', 'HostReserved', 'Other', 'BootstrapExecSucceeded', 'Ready', 'HostReachable'];
    const list = types.reduce<Condition[]>((all, type) => setCondition(all, { ...waiting, type }, before), []);
    const ordered = ['Ready', 'HostReserved', 'HostReachable', 'BootstrapExecSucceeded', 'Paused', 'Other'];
    expect(list.map(({ type }) => type)).toEqual(ordered);
    expect(setCondition(list, { ...waiting, type: 'HostReserved', status: 'True' }, after).map(({ type }) => type)).toEqual(ordered);
  });

  test('an overlong message is clipped, and stays the same condition', () => {
    const long = { ...waiting, message: 'x'.repeat(40_000) };
    const list = setCondition([], long, before);
    expect(list[0]!.message).toHaveLength(32_768);
    expect(setCondition(list, long, after)).toBe(list);
  });
});

test.each([
  ['abc', 3, 'abc'],
  ['abcd', 3, 'ab…'],
  ['a😀bc', 3, 'a…'],
  ['a😀bc', 4, 'a😀…'],
])('clip(%j, %d)', (text, max, expected) => expect(clip(text, max)).toBe(expected));
