/** What cloud-init executes of parts: boothooks before anything else, scripts from their folders beside runcmd. */
import { formatUnsupported } from '../format.ts';
import type { CommandStep, Finding, InstanceData, Step } from '../plan.ts';
import type { Part } from './parts.ts';

export const planScript = (part: Part): CommandStep => ({ ...command(part, 'script'), interpreter: [] });

/** Run as soon as they are read, with the variable INSTANCE_ID. */
export function planBoothook(part: Part, { instanceID }: InstanceData): CommandStep {
  return { ...command({ ...part, text: withoutHeader(part.text) }, 'boothook'), interpreter: ['env', `INSTANCE_ID=${instanceID}`] };
}

const withoutHeader = (text: string): string => text.trimStart().replace(/^#cloud-boothook/i, '');

/** @throws BootstrapDataError for a script that the kernel would refuse to execute, as it does for cloud-init */
export function requireInterpreter({ kind, text }: Pick<Part, 'kind' | 'text'>): void {
  if (kind === 'cloud-config' || withoutHeader(text).trimStart().startsWith('#!')) return;
  throw formatUnsupported(
    'it is a script that does not begin with #! and its interpreter, such as #!/bin/sh; cloud-init cannot execute it',
  );
}

function command({ name, text }: Part, kind: string): CommandStep {
  return { kind: 'command', name: [kind, name].filter(Boolean).join(' '), script: withUnixLineEnds(text.trimStart()) };
}

/** Where the first line ends in CRLF (cloud-init's dos2unix). */
function withUnixLineEnds(text: string): string {
  return /^[^\n]*\r\n/.test(text) ? text.replaceAll('\r\n', '\n') : text;
}

/** Folders of cloud-init, in the order in which it runs what is in them. */
const FREQUENCIES = ['per-once', 'per-boot', 'per-instance'] as const;

const RUNCMD = 'runcmd';

/**
 * The scripts in the order in which cloud-init finds them: each kind has a folder, whose files it runs in the order of their names, and
 * the commands of `runcmd` are one of these files.
 */
export function beside(runcmd: Step[], parts: Part[]): Step[] {
  const early = FREQUENCIES.flatMap((kind) => folder(parts, kind)).map(([, part]) => planScript(part));
  const scripts = folder(parts, 'script');
  const before = scripts.filter(([file]) => file < RUNCMD);
  // One of the very name is that file, unless there are commands, whose file takes its place.
  const after = scripts.filter(([file]) => file > RUNCMD || (file === RUNCMD && runcmd.length === 0));
  return [...early, ...before.map(([, part]) => planScript(part)), ...runcmd, ...after.map(([, part]) => planScript(part))];
}

function folder(parts: Part[], kind: Part['kind']): [file: string, part: Part][] {
  const files = new Map(parts.filter((part) => part.kind === kind).map((part) => [part.name, part]));
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** What differs from the letter of the data, of which `steps` came. */
export function findingsOf(parts: Part[], steps: Step[]): Finding[] {
  const often = parts.filter(({ kind }) => kind === 'boothook' || kind === 'per-boot');
  const finding = (reason: string, part: Part, message: string): Finding => ({ reason, path: part.name || part.kind, message });
  const runsOnce = often.map((part) =>
    finding('RunsOnceOnly', part, 'cloud-init runs it at every boot; here it runs once, with the bootstrap'),
  );
  const replaced = parts.filter((part, index) =>
    parts.slice(index + 1).some(({ kind, name }) => kind === part.kind && isFile(kind) && name === part.name),
  );
  const lost = replaced.map((part) => finding('DuplicatePart', part, 'a later part has its name and takes its place, as in cloud-init'));
  const hasCommands = steps.some(({ name }) => name.startsWith(`${RUNCMD}[`));
  const overwritten = parts
    .filter(({ kind, name }) => hasCommands && kind === 'script' && name === RUNCMD)
    .map((part) => finding('DuplicatePart', part, 'not run: as in cloud-init the commands of the key runcmd are a script of this name'));
  return [...runsOnce, ...lost, ...overwritten];
}

/** Boothooks have run by the time that the next one comes, and cloud-config is merged. */
const isFile = (kind: Part['kind']): boolean => kind !== 'boothook' && kind !== 'cloud-config';
