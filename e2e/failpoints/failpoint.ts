/**
 * Stands in the place of operator/framework/failpoint.ts in the bundle that the tests kill. The environment says what it does there:
 * FAILPOINT_ARMED   a file, which may be written while the manager runs: its text is a failpoint's name, with `#n` its n-th passing from
 *                   then on, at which the process kills itself by SIGKILL
 * FAILPOINT_RECORD  a file that gets the name of every failpoint passed, a line each
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { nameOf } from '../../operator/framework/failpoint.ts';

const { FAILPOINT_ARMED: armedFile, FAILPOINT_RECORD: recordFile } = process.env;

let armed = { text: '', left: 0 };

export function failpoint(...passing: Parameters<typeof nameOf>): void {
  const name = nameOf(...passing);
  if (recordFile !== undefined) appendFileSync(recordFile, `${name}\n`);
  if (isDue(name)) process.kill(process.pid, 'SIGKILL');
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
