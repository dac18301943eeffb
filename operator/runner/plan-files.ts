/**
 * Plans as the files that job.sh reads: `steps`, a list of calls with quoted words, and one file for each step's content.
 * Cleanup plans stay on hosts for as long as their machines live and are read by later versions: kinds and the order of
 * arguments don't change their meaning.
 */
import type { FileStep, Plan, Step } from '../bootstrap/plan.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import { quote } from '../ssh/quote.ts';
import type { Upload } from './program.ts';
import type { RunOptions } from './types.ts';

interface Written {
  kind: 'file' | 'shell' | 'script' | 'tolerated' | 'check' | 'forget';
  name: string;
  args: string[];
  content?: Uint8Array | undefined;
}

const ROOT = '0:0';
const SHELL = ['/bin/sh'];

export function planFiles(plan: Plan, options: RunOptions): Upload[] {
  return files([yesNo(options.commandsAsScript), yesNo(plan.expectsSentinel), options.workingDir], plan.steps.map(written));
}

/** Commands, then the files and the sentinel that the run brought, then the checks. */
export function cleanupFiles(plan: CleanupPlan): Upload[] {
  const forget: Written = { kind: 'forget', name: 'files of the bootstrap', args: [] };
  return files(
    ['no', 'no', '/'],
    [
      ...plan.commands.map((c): Written => ({
        kind: c.mayFail ? 'tolerated' : 'script',
        name: c.name,
        args: SHELL,
        content: script(c.script),
      })),
      forget,
      ...plan.checks.map((c): Written => ({ kind: 'check', name: c.name, args: SHELL, content: script(c.script) })),
    ],
  );
}

function written(step: Step): Written {
  if (step.kind === 'file') return { kind: 'file', name: step.name, args: fileArguments(step), content: step.content };
  if (step.interpreter === undefined) return { kind: 'shell', name: step.name, args: [], content: script(step.script) };
  return { kind: 'script', name: step.name, args: step.interpreter, content: Buffer.from(step.script) };
}

function fileArguments(step: FileStep): string[] {
  return [step.mode.toString(8).padStart(4, '0'), step.owner ?? ROOT, yesNo(step.append), step.path];
}

function script(text: string): Uint8Array {
  return Buffer.from(text.endsWith('\n') ? text : `${text}\n`);
}

function files(options: string[], steps: Written[]): Upload[] {
  const lines = [
    ['options', ...options],
    ...steps.map((step, index) => ['step', number(index), step.kind, token(step.name), ...step.args]),
  ];
  const list = lines.map((words) => `${words.map(quote).join(' ')}\n`).join('');
  const contents = steps.flatMap(({ content }, index) => (content === undefined ? [] : [{ name: number(index), content }]));
  return [{ name: 'steps', content: Buffer.from(list) }, ...contents];
}

/** Of one length, so that names sort as numbers. */
function number(index: number): string {
  return String(index + 1).padStart(6, '0');
}

/** A name as the host passes it on without looking into it. */
function token(name: string): string {
  return Buffer.from(name).toString('base64') || '-';
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
