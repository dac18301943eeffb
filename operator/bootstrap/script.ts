import type { CommandStep } from './plan.ts';

/** A document that begins with `#!` is one command: the file itself, executed by the interpreter that its first line names. */
export function planScript(text: string): CommandStep {
  return { kind: 'command', name: 'script', script: text.trimStart(), interpreter: [] };
}
