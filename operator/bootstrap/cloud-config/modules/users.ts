import { z } from 'zod';
import type { Step } from '../../plan.ts';
import { type Context, defineModule } from '../module.ts';
import { line, listOf, text } from '../values.ts';
import { accountName, names } from './accounts.ts';
import { publicKeys } from './authorized_keys.ts';
import { hasEmptyPassword, sudoersCheck, userScript } from './users_script.ts';

const optionalText = line.nullable().transform((value) => (value === null || value === '' ? undefined : value));
const path = optionalText.refine((value) => value === undefined || value.startsWith('/'), 'is not an absolute path');
const hash = line.refine((value) => !value.includes(':'), 'holds a colon, which a password hash cannot');
const rule = line.nullable();

const sudo = z
  .union([z.array(rule), rule, z.literal(false)], { error: 'expected a rule, a list of rules, or false' })
  .transform((value) => (Array.isArray(value) ? value : [value]).filter((one): one is string => typeof one === 'string' && one !== ''));

const uid = z
  .union([z.number(), z.string(), z.null()], { error: 'expected a number' })
  .transform((value) => value?.toString())
  .refine((value) => value === undefined || /^\d{1,10}$/.test(value), 'is not the number of a user');

/** The kubeadm bootstrap provider writes `inactive: true`, which cloud-init passes over: only a text (days) becomes an option of useradd. */
const inactive = z
  .union([optionalText, z.boolean(), z.number()], { error: 'expected a number of days in quotes' })
  .transform((value) => (typeof value === 'string' ? value : undefined))
  .refine((value) => value === undefined || /^-?\d{1,6}$/.test(value), 'is not a number of days');

/** cloud-init goes by Python's truth, for which any text but an empty one is true: what looks like false, or like neither, is refused. */
const truth = z
  .union([z.boolean(), z.number(), z.enum(['', 'true', 'True', 'yes', 'on', '1']), z.null()], {
    error: 'expected true or false without quotes',
  })
  .transform(Boolean);

const user = z.strictObject({
  name: accountName,
  gecos: optionalText.optional(),
  homedir: path.optional(),
  primary_group: z.union([accountName, z.null()]).optional(),
  groups: z.union([names, z.null()], { error: 'expected the names of groups' }).optional(),
  shell: path.optional(),
  expiredate: optionalText.optional(),
  inactive: inactive.optional(),
  selinux_user: optionalText.optional(),
  uid: uid.optional(),
  system: truth.optional(),
  no_create_home: truth.optional(),
  no_user_group: truth.optional(),
  no_log_init: truth.optional(),
  create_groups: truth.optional(),
  passwd: hash.nullable().optional(),
  hashed_passwd: hash.nullable().optional(),
  plain_text_passwd: line.nullable().optional(),
  lock_passwd: truth.optional(),
  sudo: sudo.optional(),
  ssh_authorized_keys: publicKeys.optional(),
});

export type User = z.output<typeof user>;

/** The image's own user, which only cloud-init's configuration on the image knows. */
const DEFAULT = 'default';

const entry = z.unknown().transform((value, context): User[] => {
  if (typeof value === 'string' || Array.isArray(value)) return usersByName(value, context);
  const result = user.safeParse(withUnderscores(value));
  if (result.success) return [result.data];
  for (const issue of result.error.issues) context.addIssue({ ...issue });
  return [];
});

function usersByName(value: unknown, context: z.RefinementCtx): User[] {
  const result = names.safeParse(value);
  if (result.success) return result.data.map((name) => ({ name }));
  context.addIssue({ code: 'custom', message: 'is not the name of a user, nor a list of names' });
  return [];
}

/** cloud-init takes `lock-passwd` for `lock_passwd`. */
function withUnderscores(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.replaceAll('-', '_').trim(), item]));
}

/** For the reference page: the schema itself takes anything, since users may also be given by name. */
const DESCRIPTION = {
  anyOf: [{ type: 'string' }, { type: 'array', items: z.toJSONSchema(user, { io: 'input', unrepresentable: 'any' }) }],
};

/** Users in the order given (cloud-init's users_groups). One that exists isn't made again; password, sudo and keys are set. */
export const users = defineModule({
  keys: {
    users: z
      .union([text.transform((value) => value.split(',')), z.unknown()])
      .pipe(listOf(entry))
      .pipe(z.transform(together).superRefine(checkHomes))
      .meta(DESCRIPTION),
  },
  plan: ({ users: list = [] }, context) =>
    list.flatMap(({ user: one, index, again }) => {
      const message = `${one.name} stands there already: both are one user, made once, and what the first says of it counts, as in cloud-init`;
      for (const later of again) context.note('DuplicateUser', ['users', later], message);
      return stepsFor(one, `users[${index}] ${one.name}`, index, context);
    }),
});

interface Wanted {
  user: User;
  /** Where it stands first. */
  index: number;
  /** Where else. */
  again: number[];
}

/** Entries of one name are one user; of a field that several of them have the first counts, as in cloud-init. */
function together(list: User[][]): Wanted[] {
  const byName = new Map<string, Wanted>();
  list.forEach((entries, index) => {
    for (const one of entries) {
      const before = byName.get(one.name);
      if (before === undefined) byName.set(one.name, { user: one, index, again: [] });
      else byName.set(one.name, { ...before, user: { ...one, ...before.user }, again: [...before.again, index] });
    }
  });
  return [...byName.values()];
}

function checkHomes(list: Wanted[], context: z.RefinementCtx): void {
  for (const { user: one, index } of list) {
    if ((one.no_create_home !== true && one.system !== true) || (one.ssh_authorized_keys ?? []).length === 0) continue;
    const message = 'ssh_authorized_keys needs a home directory, which no_create_home and system leave out';
    context.addIssue({ code: 'custom', path: [index, 'ssh_authorized_keys'], message });
  }
}

const EMPTY = 'an empty password opens no account: one that has no password stays locked, as with cloud-init 22.4';

function stepsFor(one: User, name: string, index: number, { note }: Context): Step[] {
  if (one.name === DEFAULT) {
    note('DefaultUserIgnored', ['users', index], 'the default user of an image is known to cloud-init only; no such user is made');
    return [];
  }
  if (one.lock_passwd === false && hasEmptyPassword(one)) note('EmptyPassword', ['users', index], EMPTY);
  const steps: Step[] = [{ kind: 'command', name, script: userScript(one), interpreter: ['/bin/sh'] }];
  const rules = one.sudo ?? [];
  if (rules.length === 0) return steps;
  // A file of its own for each user; sudo passes over files with a dot in their name. No name has what stands for it.
  const file = `/etc/sudoers.d/90-cluster-api-${one.name.replaceAll('.', '+').replaceAll('$', '=')}`;
  const content = [`# User rules for ${one.name}`, ...rules.map((text) => `${one.name} ${text}`), ''].join('\n');
  return [
    ...steps,
    { kind: 'file', name: `${name} ${file}`, path: file, content: Buffer.from(content), mode: 0o440, append: false },
    { kind: 'command', name: `${name} sudo`, script: sudoersCheck(file), interpreter: ['/bin/sh'] },
  ];
}
