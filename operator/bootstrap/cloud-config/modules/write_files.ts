import { posix } from 'node:path';
import { z } from 'zod';
import { TooLarge } from '../../gunzip.ts';
import type { FileStep } from '../../plan.ts';
import { type Context, defineModule } from '../module.ts';
import { flag, line } from '../values.ts';
import { decodeContent, type Encoding, MAX_TOTAL_BYTES } from './write_files_content.ts';

const DEFAULT_MODE = 0o644;

const encoding = z
  .string()
  .nullable()
  .transform((value) => value?.toLowerCase().trim() ?? '')
  .pipe(
    z.enum(['', 'plain', 'text/plain', 'b64', 'base64', 'gz', 'gzip', 'gz+base64', 'gzip+base64', 'gz+b64', 'gzip+b64'], {
      error: 'is not an encoding; there are text/plain, base64, gzip and gzip+base64',
    }),
  )
  .transform((value): Encoding => {
    if (['', 'plain', 'text/plain'].includes(value)) return { gzip: false, base64: false };
    return { gzip: value.startsWith('g'), base64: value.includes('b64') || value.includes('base64') };
  });

/** A quoted string is octal; a number is taken as it is, so that 0644 (YAML's octal) is meant as written and 644 is not. */
const permissions = z
  .union([z.string(), z.number(), z.null()], { error: "expected a quoted octal string such as '0644'" })
  .transform((value, context) => {
    if (value === null) return { mode: DEFAULT_MODE, number: false };
    const number = typeof value === 'number';
    const octal = number ? '' : (/^\s*(?:0o)?([0-7]+)\s*$/i.exec(value)?.[1] ?? '-');
    const mode = number ? value : parseInt(octal, 8);
    if (Number.isInteger(mode) && mode >= 0 && mode <= 0o7777) return { mode, number };
    context.addIssue({ code: 'custom', message: "is not an octal number between '0000' and '7777'" });
    return z.NEVER;
  });

const path = line.refine((value) => posix.resolve('/', value) !== '/', 'is not the path of a file');

/** An owner that is given and names nobody: a file that is there stays whose it is. Without the key it becomes root's. */
const NOBODY = '';

const owner = line.nullable().transform((value, context) => {
  const [user, group] = (value ?? '').split(/:(.*)/s, 2).map((name) => name.trim());
  const named = (name: string | undefined) => (name === undefined || ['', '-1', 'none'].includes(name.toLowerCase()) ? undefined : name);
  const pair = { user: named(user), group: named(group) };
  for (const name of [pair.user, pair.group]) {
    if (name !== undefined && !/^[A-Za-z0-9_.][A-Za-z0-9_.-]*\$?$/.test(name)) {
      context.addIssue({ code: 'custom', message: "is not 'user' or 'user:group'" });
      return z.NEVER;
    }
  }
  if (pair.user === undefined && pair.group === undefined) return NOBODY;
  return pair.group === undefined ? pair.user : `${pair.user ?? ''}:${pair.group}`;
});

const entry = z.strictObject({
  path,
  content: z.union([z.string(), z.instanceof(Uint8Array), z.null()], { error: 'expected a string; quote it' }).optional(),
  encoding: encoding.optional(),
  owner: owner.optional(),
  permissions: permissions.optional(),
  append: flag.optional(),
  defer: flag.optional(),
});

type Entry = Omit<z.output<typeof entry>, 'content'> & { content: Uint8Array; index: number };

/** One key for both modules, so that it is checked and decoded once. */
const entries = z
  .array(entry)
  .nullable()
  .transform((list, context): Entry[] => {
    let left = MAX_TOTAL_BYTES;
    return (list ?? []).flatMap((item, index) => {
      try {
        const content = decodeContent(item.content ?? '', item.encoding ?? { gzip: false, base64: false }, left);
        left -= content.length;
        return [{ ...item, content, index }];
      } catch (cause) {
        const reason = cause instanceof TooLarge ? 'BootstrapDataTooLarge' : 'BootstrapDataInvalid';
        context.addIssue({ code: 'custom', path: [index, 'content'], message: (cause as Error).message, params: { reason } });
        return [];
      }
    });
  });

/** Files that stand before users exist: an owner must already be known to the host. */
export const writeFiles = defineModule({
  keys: { write_files: entries },
  plan({ write_files: list = [] }, context) {
    for (const item of list) if (item.encoding?.gzip === true) context.budget.take(item.content);
    for (const item of list) if (item.permissions?.number === true) noteNumber(item.permissions.mode, item.index, context);
    return list.filter((item) => item.defer !== true).map(step);
  },
});

/** Entries with `defer: true`, after users and packages. */
export const writeFilesDeferred = defineModule({
  keys: { write_files: entries },
  plan: ({ write_files: list = [] }) => list.filter((item) => item.defer === true).map(step),
});

function step(item: Entry): FileStep {
  const absolute = posix.resolve('/', item.path);
  return {
    kind: 'file',
    name: `write_files[${item.index}] ${absolute}`,
    path: absolute,
    content: item.content,
    mode: item.permissions?.mode ?? DEFAULT_MODE,
    ...(item.owner === undefined ? {} : item.owner === NOBODY ? { keep: { mode: false, owner: true } } : { owner: item.owner }),
    append: item.append ?? false,
  };
}

function noteNumber(mode: number, index: number, context: Context): void {
  const octal = `0${mode.toString(8).padStart(3, '0')}`;
  context.note(
    'PermissionsNumber',
    ['write_files', index, 'permissions'],
    `a number, which stands for the mode ${octal}; write a quoted octal string, such as '0644'`,
  );
}
