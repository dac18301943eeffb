import fc from 'fast-check';
import { ServerClock } from './server-clock.ts';

const NOON = Date.parse('2030-01-01T12:00:00Z');
const header = (time: number): string => new Date(time).toUTCString();

test('before the first answer it is the clock of this computer', () => {
  const clock = new ServerClock(() => 0);
  clock.read(undefined, 0);
  clock.read('yesterday', 0);
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(1000);
});

test('it is the time of the server within the second that a header can tell, whatever the answers take', () => {
  const answers = fc.array(fc.record({ pause: fc.nat(100_000), there: fc.nat(5_000), back: fc.nat(5_000) }), { minLength: 1 });
  fc.assert(
    fc.property(fc.nat(1_000_000), answers, (offset, all) => {
      let ticks = 0;
      const server = (): number => NOON + offset + ticks;
      const clock = new ServerClock(() => ticks);
      for (const { pause, there, back } of all) {
        ticks += pause;
        const asked = clock.ticks;
        ticks += there;
        const date = header(server());
        ticks += back;
        clock.read(date, asked);
        expect(Math.abs(clock.now().getTime() - server())).toBeLessThanOrEqual(1000 + there + back);
      }
    }),
  );
});

test('it follows the clock of the server when that is set', () => {
  const clock = new ServerClock(() => 50);
  clock.read(header(NOON), 50);
  clock.read(header(NOON + 7_200_000), 50);
  expect(clock.now().getTime()).toBe(NOON + 7_200_000);
});
