/** `make demo`: shows how the supervisor gets the demo going, and leaves it running. */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import Table from 'cli-table3';
import { createLogUpdate } from 'log-update';
import ora from 'ora';
import { cacheFolder } from '../env/cache.ts';
import { existingRuns, isAlive } from '../env/run.ts';
import type { Message, Row } from './messages.ts';

/** A terminal of unknown width (as under script(1)) can't be drawn on. */
const interactive = process.stdout.isTTY && process.stdout.columns > 0;
const spinner = ora({ stream: process.stdout, isEnabled: interactive });
const updateTable = createLogUpdate(process.stdout);
/** Steps under way; the newest is at the spinner. */
const steps: string[] = [];
let rows: Row[] = [];
let ready = false;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

function show(message: Message): void {
  if (message.kind === 'step') showStep(message.what, message.seconds);
  else if (message.kind === 'note') spinner.info(message.text);
  else if (message.kind === 'machines') showRows(message.rows);
  else if (message.kind === 'failed') fail(message.reason);
  else showEnd(message);
}

/** A step's line is written when it is done; while any is under way, the spinner turns at the newest. */
function showStep(what: string, seconds?: number): void {
  if (seconds === undefined) steps.push(what);
  else {
    steps.splice(steps.indexOf(what), 1);
    spinner.succeed(`${what} (${seconds.toFixed(1)} s)`);
  }
  const newest = steps.at(-1);
  if (newest !== undefined && interactive) spinner.start(newest);
}

function showRows(latest: Row[]): void {
  rows = latest;
  spinner.stop();
  if (interactive) updateTable(table());
}

function table(): string {
  const drawn = new Table({
    head: ['Machine', 'Host', 'Phase', 'Seconds'],
    style: { head: ['bold'] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const { machine, host, phase, seconds } of rows) drawn.push([machine, host, phase, seconds.toFixed(0)]);
  return drawn.toString();
}

function showEnd({ kubeconfig, kubectl, hosts, key }: Extract<Message, { kind: 'ready' }>): void {
  ready = true;
  if (interactive) updateTable.done();
  else print(table());
  print(`\nEvery machine is ready. The demo goes on in the background. Look around:

  export KUBECONFIG=${kubeconfig}
  ${kubectl} get remotemachines,pooledremotemachines,machines -A
  ${kubectl} describe remotemachine remote-test-0
  ssh -i ${key} root@${hosts[0]?.address ?? ''} cat /etc/demo/greeting

End it with: make demo-down`);
}

function fail(reason: string): void {
  if (ready) return;
  spinner.fail(`${steps.at(-1) ?? 'The demo'}: ${reason}`);
  print(`Nothing is left running. Log: ${logPath}`);
  process.exitCode = 1;
}

const running = existingRuns().find(({ owner }) => owner.purpose === 'demo' && isAlive(owner));
const logPath = join(cacheFolder(), 'demo.log');
if (running !== undefined) {
  print('A demo is running already. End it with: make demo-down');
  process.exitCode = 1;
} else {
  mkdirSync(cacheFolder(), { recursive: true });
  const log = openSync(logPath, 'w');
  const supervisor = spawn(process.execPath, [join(import.meta.dirname, 'supervisor.ts')], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  supervisor.on('message', (message) => show(message as Message));
  supervisor.on('exit', () => {
    if (!ready && process.exitCode === undefined) fail('the supervisor ended');
  });
  // Disconnecting is what tells the supervisor; it takes everything away and then ends, which is waited for.
  for (const [name, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    process.once(name, () => {
      spinner.stop();
      print('Interrupted: taking everything away.');
      process.exitCode = 128 + number;
      if (supervisor.connected) supervisor.disconnect();
    });
  supervisor.on('disconnect', () => ready && supervisor.unref());
  // While machines come up, their seconds count on.
  const clock = setInterval(() => {
    if (rows.length === 0 || ready || !interactive) return;
    rows = rows.map((row) => (row.ready ? row : { ...row, seconds: row.seconds + 1 }));
    updateTable(table());
  }, 1000);
  clock.unref();
}
