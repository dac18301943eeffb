import { z } from 'zod';
import { quote } from '../../ssh/quote.ts';
import { Float } from './scalars.ts';

/** A text that can stand in a shell script: no NUL. */
export const text = z.string().refine((value) => !value.includes('\0'), 'holds a NUL character');

/** A text of one line. */
export const line = text.refine((value) => !/[\r\n]/.test(value), 'holds a line break');

/** A boolean as cloud-init reads one: also `1`, and the words true, on and yes in quotes; everything else is false. */
export const flag = z
  .union([z.boolean(), z.string(), z.number(), z.null()], { error: 'expected true or false' })
  .transform((value) => ['true', '1', 'on', 'yes'].includes(String(value).toLowerCase().trim()));

/** A list, of which nothing at all (`key:`) is an empty one. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);

/** cloud-init sorts the names of maps before it goes through them. */
export const entriesByName = <Value>(map: Record<string, Value> | null | undefined): [name: string, value: Value][] =>
  Object.entries(map ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));

/** A word of a command; what is not a string becomes what Python's str() makes of it, as in cloud-init. */
export const argument = z
  .union([text, z.number(), z.bigint(), z.boolean(), z.null(), z.instanceof(Float)])
  .transform((value) => (value === true ? 'True' : value === false ? 'False' : value === null ? 'None' : String(value)));

/**
 * An entry of runcmd or bootcmd as a shell fragment: a string as it stands, a list as one command line, nothing as undefined.
 * Arguments that are not strings become what Python's str() makes of them, as in cloud-init.
 */
export const command = z
  .union([text, z.array(argument), z.null()], {
    error: 'expected a string (shell) or a list of strings (a command and its arguments); quote it if it is a word such as false or 1',
  })
  .transform((value) => {
    if (value === null) return undefined;
    // An empty one counts in a here-document over several entries.
    return Array.isArray(value) ? commandLine(value) : value;
  });

/** A command and its arguments as a line of the shell. The first word is always in quotes, so that `if` and `A=b` are names of programs, as they are for cloud-init. */
export function commandLine([program, ...rest]: string[]): string {
  if (program === undefined) return '';
  const word = quote(program);
  return [word === program ? `'${word}'` : word, ...rest.map(quote)].join(' ');
}
