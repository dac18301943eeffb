/** What a schema takes is what the flag, or whoever reads the object, takes. */
import { durationOf } from '../../../operator/controllers/hosts/duration.ts';
import { type Fields, type Section, type Value, VALUES } from './values.ts';

const at = (path: string): Value | Section =>
  path.split('.').reduce<Value | Section>((field, name) => (field as Section).fields[name] as Value | Section, {
    kind: 'section',
    description: '',
    fields: VALUES,
  });
const taken = (path: string, text: string): boolean => {
  const { schema } = at(path) as Value;
  return text.length >= Number(schema['minLength'] ?? 0) && new RegExp(String(schema['pattern'])).test(text);
};

const durations = (fields: Fields, prefix = ''): string[] =>
  Object.entries(fields).flatMap(([name, field]) =>
    field.kind === 'section' ? durations(field.fields, `${prefix}${name}.`) : field.description.includes('`1h30m`') ? [prefix + name] : [],
  );

test.each(durations(VALUES))('%s takes the durations that flags take, and no others', (path) => {
  for (const text of ['90s', '10m', '1h30m', '0', '1.5h', '500ms', '10', 'never', '', '-1s', '1 m', '1d'])
    expect({ text, taken: taken(path, text) }).toEqual({ text, taken: durationOf(text) !== undefined });
});

test.each([
  ['30s', true],
  ['1m30s', true],
  ['1.5h', false],
  ['30', false],
  ['', false],
  ['30s1m', false],
])('metrics.serviceMonitor.interval: "%s" is for the Prometheus operator: %p', (text, expected) => {
  expect(taken('metrics.serviceMonitor.interval', text)).toBe(expected);
});
