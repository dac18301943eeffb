import { z } from 'zod';
import { defineModule } from '../module.ts';
import { accountName, ensureGroup, names } from './accounts.ts';
import { entriesByName } from '../values.ts';
import { quote } from '../../../ssh/quote.ts';

const members = z.union([names, z.null()], { error: 'expected the name of a user or a list of names' }).transform((list) => list ?? []);
const byName = z.record(accountName, members).transform((map) => entriesByName(map).map(([name, users]) => ({ name, users })));
const plain = names.transform((list) => list.map((name) => ({ name, users: [] as string[] })));

/** `[a, {b: [user, …]}]`, `a, b` or `{a: [user, …]}`. */
const groupList = z
  .union([byName, plain, z.array(z.union([byName, plain])).transform((list) => list.flat()), z.null()], {
    error: 'expected group names, or maps from a group name to the names of its members',
  })
  .transform((list) => merged(list ?? []));

/** One entry for each group; as in cloud-init its members are sorted. */
function merged(list: { name: string; users: string[] }[]): { name: string; users: string[] }[] {
  const members = new Map<string, string[]>();
  for (const { name, users } of list) members.set(name, [...(members.get(name) ?? []), ...users]);
  return [...members].map(([name, users]) => ({ name, users: [...new Set(users)].sort() }));
}

/** Groups, made before users (cloud-init's users_groups); existing users among the members are added. */
export const groups = defineModule({
  keys: { groups: groupList },
  plan: ({ groups: list = [] }) =>
    list.map((group) => ({
      kind: 'command',
      name: `groups ${group.name}`,
      script: ['set -eu', ensureGroup(group.name), ...group.users.map((user) => addMember(group.name, user)), ''].join('\n'),
      interpreter: ['/bin/sh'],
    })),
});

function addMember(group: string, user: string): string {
  const [g, u] = [quote(group), quote(user)];
  return `if id -u ${u} >/dev/null 2>&1; then
  usermod -a -G ${g} ${u}
else
  echo ${quote(`user ${user} does not exist and is not added to group ${group}`)}
fi`;
}
