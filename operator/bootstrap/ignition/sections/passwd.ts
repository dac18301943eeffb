import { z } from 'zod';
import { accountName } from '../../cloud-config/modules/accounts.ts';
import { scriptStep } from '../../cloud-config/module.ts';
import { flag, integer, line } from '../values.ts';
import { groupScript, homesScript, removeGroup, removeUser, userScript } from './passwd_scripts.ts';
import type { Config } from '../config.ts';
import type { Section } from './section.ts';

const hash = line.refine((value) => !value.includes(':'), 'holds a colon, which a password hash cannot');
/** A field of /etc/passwd. */
const field = line.refine((value) => !value.includes(':'), 'holds a colon, which /etc/passwd does not take');
const place = field.refine((value) => value === '' || value.startsWith('/'), 'is not an absolute path');
const groupName = z.union([accountName, z.string().regex(/^\d{1,10}$/), z.literal('')], { error: 'is not the name of a group' });

/** What a user is like who is made. */
export const profile = {
  uid: integer.min(0).optional(),
  gecos: field.optional(),
  homeDir: place.optional(),
  noCreateHome: flag.optional(),
  primaryGroup: groupName.optional(),
  groups: z.array(groupName).optional(),
  noUserGroup: flag.optional(),
  system: flag.optional(),
  noLogInit: flag.optional(),
  shell: place.optional(),
};
export const credentials = { name: accountName, passwordHash: hash.optional(), sshAuthorizedKeys: z.array(line).optional() };

const user = z
  .strictObject({ ...credentials, ...profile, shouldExist: flag.optional() })
  .refine(({ name, shouldExist }) => name !== 'root' || shouldExist !== false, {
    message: 'a host cannot be without root',
    path: ['shouldExist'],
  });

export const group = z.strictObject({
  name: accountName,
  gid: integer.min(0).optional(),
  passwordHash: hash.optional(),
  system: flag.optional(),
  shouldExist: flag.optional(),
});

export const passwd = z.strictObject({ users: z.array(user).optional(), groups: z.array(group).optional() });

export type User = z.output<typeof user>;
export type Group = z.output<typeof group>;

/** Users whose homes are theirs also where a mount has made them, which is of 3.x. */
export const homesOf = ({ ignition: { version }, passwd: { users = [] } = {} }: Pick<Config, 'ignition' | 'passwd'>): User[] =>
  version.startsWith('2.') ? [] : users.filter(({ noCreateHome, shouldExist }) => noCreateHome !== true && shouldExist !== false);

/** Groups before users, which may be members. */
export const accounts: Section = {
  plan: (config, { name }) => {
    const { passwd: { groups = [], users = [] } = {}, storage: { filesystems = [] } = {} } = config;
    const homes = filesystems.some(({ path = '' }) => path !== '') ? homesOf(config) : [];
    return [
      ...groups.map((one) => scriptStep(name(one, one.name), one.shouldExist === false ? removeGroup(one.name) : groupScript(one))),
      ...users.map((one) => scriptStep(name(one, one.name), one.shouldExist === false ? removeUser(one.name) : userScript(one))),
      ...(homes.length === 0 ? [] : [scriptStep('passwd.users homes', homesScript(homes.map((one) => one.name)))]),
    ];
  },
  checks({ passwd: { groups = [], users = [] } = {} }) {
    const tools = [...(groups.length > 0 ? ['groupadd'] : []), ...(users.length > 0 ? ['useradd', 'usermod', 'chpasswd'] : [])];
    return tools.map((tool) => `needs ${tool} 'install the package that has it (passwd, or shadow)'`);
  },
};
