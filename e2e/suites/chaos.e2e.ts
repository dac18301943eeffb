/** The short form of `make chaos`: a campaign of faults on twenty hosts. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** One order of faults, so that a failure is not one that comes and goes; `make chaos` takes another one each time. */
const SEED = 1;
const DURATION = 80;
/** Milliseconds: the campaign, the time that everything may take to converge, and what comes before and after. */
const LIMIT = 420_000;

test(
  'machines come and go on twenty hosts while everything fails at random: nothing runs twice, no dirty host is handed on, all of it converges',
  async () => {
    const args = ['--seed', String(SEED), '--duration', String(DURATION), '--hosts', '20', '--longest', '8'];
    const child = spawn(process.execPath, [join(import.meta.dirname, '../chaos/main.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    process.stdout.write(`${said}\n`);
    const violations = said.split('\n').filter((line) => line.startsWith('VIOLATION'));
    // The end of what it said: where the campaign itself failed, its error.
    expect({ code, violations, end: code === 0 ? '' : said.slice(-2000) }).toEqual({ code: 0, violations: [], end: '' });
  },
  LIMIT,
);
