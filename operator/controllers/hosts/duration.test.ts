import fc from 'fast-check';
import { durationOf } from './duration.ts';

test.each([
  ['0', 0],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  ['250ms', 250],
  ['100us', 0.1],
  ['100µs', 0.1],
  [' 10m ', 600_000],
])('%s', (text, milliseconds) => expect(durationOf(text)).toBeCloseTo(milliseconds));

test.each([undefined, '', '10', '-5s', '5 s', '1d', 's', '1h!', 'NaNs'])('%s is none', (text) => expect(durationOf(text)).toBeUndefined());

test('parts add up', () => {
  const part = fc.nat(1000);
  fc.assert(
    fc.property(part, part, part, (h, m, s) => {
      expect(durationOf(`${h}h${m}m${s}s`)).toBe(((h * 60 + m) * 60 + s) * 1000);
    }),
  );
});
