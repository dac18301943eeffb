/**
 * Stands in the place of operator/framework/failpoint.ts in the bundle that the tests kill. The environment says what it does there:
 * FAILPOINT_ARMED   a file, which may be written while the manager runs: its text is a failpoint's name, with `#n` its n-th passing from
 *                   then on, at which the process kills itself by SIGKILL
 * FAILPOINT_RECORD  a file that gets the name of every failpoint passed, a line each
 * FAILPOINT_CHANCE  probability, such as 0.02, that the process kills itself at a failpoint; FAILPOINT_SEED: a number that decides when
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { nameOf } from '../../operator/framework/failpoint.ts';

const { FAILPOINT_ARMED: armedFile, FAILPOINT_RECORD: recordFile, FAILPOINT_CHANCE: chance, FAILPOINT_SEED: seed = '0' } = process.env;

let armed = { text: '', left: 0 };
const random = generator(Number(seed));

export function failpoint(...passing: Parameters<typeof nameOf>): void {
  const name = nameOf(...passing);
  if (recordFile !== undefined) appendFileSync(recordFile, `${name}\n`);
  if (isDue(name) || (chance !== undefined && random() < Number(chance))) process.kill(process.pid, 'SIGKILL');
}

function isDue(name: string): boolean {
  if (armedFile === undefined) return false;
  const text = readArmed(armedFile);
  const [wanted, passing = '1'] = text.split('#');
  if (armed.text !== text) armed = { text, left: Number(passing) };
  return name === wanted && --armed.left === 0;
}

function readArmed(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

/** Mulberry32: numbers from 0 to 1, the same ones for the same seed. */
function generator(state: number): () => number {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
