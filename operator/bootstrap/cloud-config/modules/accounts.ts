import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';

/** A name that useradd and groupadd can take, which is a plain word of the shell too. */
export const accountName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/, 'is not the name of a user or a group');

/** `a, b` or `[a, b]`. */
export const names = z
  .union([z.string(), z.array(z.string())], { error: 'expected a name or a list of names' })
  .transform((value) => (Array.isArray(value) ? value : value.split(',')).map((name) => name.trim()).filter((name) => name !== ''))
  .pipe(z.array(accountName));

/** The name in a basic regular expression. */
export const pattern = (name: string) => name.replaceAll(/[.$]/g, '\\$&');

/** Shell lines that make a group where it is missing. */
export function ensureGroup(group: string): string {
  const word = quote(group);
  return `if ! { getent group ${word} || grep ${quote(`^${pattern(group)}:`)} /etc/group; } >/dev/null 2>&1; then
  ${requireTool('groupadd')}
  groupadd ${word}
fi`;
}

/** Shell line that ends the script with a sentence where a tool of the shadow package is missing. */
export function requireTool(tool: string): string {
  const sentence = quote(`${tool} is not installed on this host; install the package that has it (passwd, or shadow)`);
  return `command -v ${tool} >/dev/null 2>&1 || { echo ${sentence} >&2; exit 127; }`;
}
