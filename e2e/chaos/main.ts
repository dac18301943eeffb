/** `make chaos`: a campaign of faults against the operator on real hosts. The seed decides what happens in which order. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { startEnvironment } from '../env/environment.ts';
import { cleanUpAtExit } from '../env/run.ts';
import { failpointProgram } from '../fixtures/failpoints.ts';
import { type Report, run } from './campaign.ts';

const out = join(import.meta.dirname, '../../out');

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    /** Of the faults, s. */
    duration: { type: 'string', default: '600' },
    hosts: { type: 'string', default: '50' },
  },
});

const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

function print(report: Report): void {
  const table = new Table({ head: ['what', 'figure'] });
  table.push(['seed', report.seed], ['machines made', report.machines.made], ['of them ready', report.machines.ready]);
  for (const [how, count] of Object.entries(report.operatorEnds)) table.push([`operators ended: ${how}`, count]);
  for (const [name, count] of Object.entries(report.faults)) table.push([`fault: ${name}`, count]);
  for (const [name, count] of Object.entries(report.checks)) table.push([`checked: ${name}`, count]);
  for (const { asked, machines, hosts } of report.converged)
    table.push(['seconds to converge: asked by core', asked], ['machines ready', machines], ['hosts free', hosts]);
  for (const { heap, descriptors, timers } of report.held)
    table.push(['the leader holds: heap, MB', megabytes(heap)], ['descriptors', descriptors], ['timers', timers]);
  table.push(['violations', report.violations.length]);
  process.stdout.write(`${table.toString()}\n${report.violations.map((line) => `VIOLATION ${line}\n`).join('')}`);
}

cleanUpAtExit();
const seed = Number(values.seed);
process.stdout.write(`seed ${seed}: make chaos SEED=${seed} repeats it\n`);
const started = performance.now();
const say = (text: string): void =>
  void process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
const environment = await startEnvironment({ purpose: 'chaos', managers: ['core'], controllerManager: true });
try {
  const program = await failpointProgram(environment, 'chaos');
  const options = { seed, duration: Number(values.duration) * 1000, hosts: Number(values.hosts) };
  const report = await run(environment, { ...options, program, say });
  print(report);
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'chaos.json'), `${JSON.stringify(report, null, 2)}\n`);
  process.exitCode = report.violations.length > 0 ? 1 : 0;
} finally {
  await environment.stop();
}
// Node's own end can go round for ever over sockets that were reset; this way it does not look at them.
process.exit();
