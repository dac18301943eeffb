import { ANNOTATION, REQUEST } from '../../apis/infrastructure/group.ts';
import { PUBLIC_KEYS } from '../controllers/testing/executor.ts';
import { hostKeyFromBuffer } from '../ssh/host-keys.ts';
import { accepts, isPinned, type Pinnable, pinPatch, pinsHostKey, trustOf } from './host-key-pins.ts';

const [OLD, NEW] = PUBLIC_KEYS;
const { fingerprint } = hostKeyFromBuffer(Buffer.from(NEW.split(' ')[1] ?? '', 'base64'));
const object = (annotations: Record<string, string> = {}, hostKey?: string): Pinnable =>
  ({ metadata: { annotations }, ...(hostKey !== undefined && { status: { host: { hostKey } } }) }) as unknown as Pinnable;
const pinned = (key: string, more: Record<string, string> = {}) => object({ [ANNOTATION.hostKey]: key, ...more });
const accepting = { [REQUEST.acceptHostKey]: fingerprint };

test.each<[string, Pinnable | undefined, Pinnable | undefined, string[], string[]]>([
  ['nothing is known', undefined, object(), [], []],
  ["the machine's pin wins", pinned(NEW), pinned(OLD), [NEW], []],
  ["the entry's serves a machine without one", object(), pinned(OLD), [OLD], []],
  ['the last contact serves until there is a pin', object({}, fingerprint), undefined, [fingerprint], []],
  ['a pin is more than the last contact', { ...pinned(OLD), status: { host: { hostKey: fingerprint } } }, undefined, [OLD], []],
  ['people accept on either', object(accepting), pinned(OLD, { [REQUEST.acceptHostKey]: 'x' }), [OLD], [fingerprint, 'x']],
  ['an empty annotation says nothing', object({ [REQUEST.acceptHostKey]: ' ' }), object({ [ANNOTATION.hostKey]: '' }), [], []],
])('%s', (_name, machine, entry, pins, accepted) => expect(trustOf(machine, entry)).toEqual({ pinned: pins, accepted }));

test.each<[string, Pinnable, Record<string, string | null> | undefined]>([
  ['pins at first contact', object(), { [ANNOTATION.hostKey]: NEW }],
  ['has it already', pinned(NEW), undefined],
  ['replaces what a person gave up', pinned(OLD, accepting), { [ANNOTATION.hostKey]: NEW, [REQUEST.acceptHostKey]: null }],
  ['uses up an acceptance of what is pinned', pinned(NEW, accepting), { [REQUEST.acceptHostKey]: null }],
  ['keeps the acceptance of another key', object({ [REQUEST.acceptHostKey]: 'SHA256:other' }), { [ANNOTATION.hostKey]: NEW }],
])('the patch: %s', (_name, target, patch) => expect(pinPatch(target, NEW)).toEqual(patch));

test('an acceptance is of one key', () => {
  expect(accepts(object(accepting), NEW)).toBe(true);
  expect(accepts(object(accepting), OLD)).toBe(false);
  expect(accepts(object({ [REQUEST.acceptHostKey]: 'nonsense' }), NEW)).toBe(false);
  expect(accepts(undefined, NEW)).toBe(false);
});

test('a pin is an annotation of that key', () => {
  expect(isPinned(pinned(NEW), NEW)).toBe(true);
  expect(isPinned(pinned(OLD), NEW)).toBe(false);
  expect(isPinned(object({}, fingerprint), NEW)).toBe(false);
});

test.each([
  [{}, true],
  [{ hostKeys: [] }, true],
  [{ hostKeys: ['x'] }, false],
  [{ knownHostsRef: { kind: 'Secret' as const, name: 'x' } }, false],
])('%j pins: %s', (spec, pins) => expect(pinsHostKey(spec)).toBe(pins));
