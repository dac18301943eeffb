/**
 * Plans as the files that job.sh reads: `steps`, a list of calls with quoted words, and what the steps hold (see `contents`).
 * Cleanup plans stay on hosts for as long as their machines live and are read by later versions: kinds and the order of
 * arguments don't change their meaning.
 */
import { posix } from 'node:path';
import type { FileStep, Plan, PowerStep, Step } from '../bootstrap/plan.ts';
import type { CleanupPlan } from '../cleanup/plan.ts';
import { quote } from '../ssh/quote.ts';
import { isText, type Upload } from './program.ts';
import type { RunOptions } from './types.ts';

interface Written {
  kind: 'file' | 'shell' | 'script' | 'tolerated' | 'check' | 'forget' | 'power';
  name: string;
  args: string[];
  content?: Uint8Array | undefined;
}

const ROOT = '0:0';
/** Fewer files that go together take as many processes as they do alone. */
const TOGETHER = 3;
const SHELL = ['/bin/sh'];

/** Throws TypeError where two shared shells would have to live at a time. */
export function planFiles(plan: Plan, options: RunOptions): Upload[] {
  const head = [yesNo(options.commandsAsScript), yesNo(plan.expectsSentinel), options.workingDir];
  const together = filesTogether(plan.steps);
  const steps = plan.steps.map((step, index) => written(step, together.has(index)));
  return files(head, steps, shellBoundaries(plan.steps));
}

/** Indexes of files that follow each other and go to one folder with one mode and owner. */
function filesTogether(steps: Step[]): Set<number> {
  const runs: { key: string | undefined; indexes: number[] }[] = [];
  steps.forEach((step, index) => {
    const key =
      step.kind === 'file' && !step.append ? JSON.stringify([posix.dirname(step.path), ...fileArguments(step)].slice(0, 3)) : undefined;
    const last = runs.at(-1);
    if (last !== undefined && key !== undefined && last.key === key) last.indexes.push(index);
    else runs.push({ key, indexes: [index] });
  });
  return new Set(runs.filter(({ indexes }) => indexes.length >= TOGETHER).flatMap(({ indexes }) => indexes));
}

/** Indexes of steps before which a shell begins or after the last command of one. */
function shellBoundaries(steps: Step[]): Set<number> {
  const spans = new Map<string, { first: number; last: number }>();
  steps.forEach((step, index) => {
    if (step.kind !== 'command' || step.interpreter !== undefined) return;
    const shell = step.shell ?? '';
    spans.set(shell, { first: spans.get(shell)?.first ?? index, last: index });
  });
  // By their first commands, as a Map keeps the order of insertion.
  let end = -1;
  for (const [shell, { first, last }] of spans) {
    if (first <= end) throw new TypeError(`the shell "${shell}" begins before another one has ended`);
    end = last;
  }
  return new Set([...spans.values()].flatMap(({ first, last }) => [first, last + 1]));
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

function written(step: Step, together: boolean): Written {
  if (step.kind === 'file') {
    const args = [...fileArguments(step), ...(together ? ['together'] : [])];
    return { kind: 'file', name: step.name, args, content: step.content };
  }
  if (step.kind === 'power') return power(step);
  if (step.interpreter === undefined) return { kind: 'shell', name: step.name, args: [], content: entry(step.script) };
  return { kind: 'script', name: step.name, args: step.interpreter, content: Buffer.from(step.script) };
}

function power({ name, mode, delay, message = '', condition }: PowerStep): Written {
  const content = condition === undefined ? undefined : script(condition);
  return { kind: 'power', name, args: [mode, String(delay), message], content };
}

/** What goes after a minus is for a new file only. */
function fileArguments({ mode, owner = ROOT, append, path, keep }: FileStep): string[] {
  const unlessKept = (word: string, kept: boolean | undefined) => (kept === true ? `-${word}` : word);
  return [unlessKept(mode.toString(8).padStart(4, '0'), keep?.mode), unlessKept(owner, keep?.owner), yesNo(append), path];
}

/** With a line break in any case, as cloud-init writes entries into its script: a here-document may go over several. */
function entry(text: string): Uint8Array {
  return Buffer.from(`${text}\n`);
}

function script(text: string): Uint8Array {
  return Buffer.from(text.endsWith('\n') ? text : `${text}\n`);
}

function files(options: string[], steps: Written[], boundaries: ReadonlySet<number> = new Set()): Upload[] {
  const calls = steps.flatMap((step, index) => {
    const call = ['step', number(index), step.kind, token(step.name), ...step.args];
    return boundaries.has(index) ? [['session'], call] : [call];
  });
  const lines = [['options', ...options], ...calls];
  const list = lines.map((words) => `${words.map(quote).join(' ')}\n`).join('');
  return [{ name: 'steps', content: Buffer.from(list) }, ...contents(steps)];
}

/** One file for each content, and one for all the texts of files that follow each other: hundreds would take as long as what they are for. */
function contents(steps: Written[]): Upload[] {
  const uploads: Upload[] = [];
  const texts: { name: string; variables: Map<string, string> }[] = [];
  steps.forEach(({ kind, content }, index) => {
    if (kind === 'file' && steps[index - 1]?.kind !== 'file') texts.push({ name: `${number(index)}.texts`, variables: new Map() });
    if (content === undefined) return;
    if (kind !== 'file' || !isText(content)) uploads.push({ name: number(index), content });
    else texts.at(-1)?.variables.set(`text_${number(index)}`, Buffer.from(content).toString());
  });
  return [...uploads, ...texts.map(({ name, variables }) => ({ name, content: Buffer.from(assigned(variables)) }))];
}

/** One that commands have exported would go on to every process. */
function assigned(variables: ReadonlyMap<string, string>): string {
  const assignments = [...variables].map(([name, text]) => `${name}=${quote(text)}\n`);
  return assignments.length === 0 ? '' : `unset ${[...variables.keys()].join(' ')}\n${assignments.join('')}`;
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
