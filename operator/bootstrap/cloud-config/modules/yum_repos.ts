import { posix } from 'node:path';
import { z } from 'zod';
import type { Step } from '../../plan.ts';
import { Float } from '../scalars.ts';
import { defineModule, scriptStep } from '../module.ts';
import { quote } from '../../../ssh/quote.ts';
import { line } from '../values.ts';

const scalar = z
  .union([line, z.number(), z.boolean(), z.instanceof(Float)])
  .transform((value) => (typeof value === 'boolean' ? String(Number(value)) : String(value)));
const value = z.union([scalar, z.array(scalar).transform((list) => list.join('\n\t'))], {
  error: 'expected a text, a number, a boolean or a list',
});

const repository = z.record(z.string(), value).transform((map, context) => {
  const options = Object.entries(map).map(([key, one]) => [key.toLowerCase().trim().replaceAll('-', '_'), one] as const);
  for (const [key] of options) {
    if (!/^[a-z0-9_]+$/.test(key)) context.addIssue({ code: 'custom', message: 'has a name that is no option of a repository' });
  }
  if (!options.some(([key]) => key === 'baseurl')) context.addIssue({ code: 'custom', path: ['baseurl'], message: 'is missing' });
  return options.toSorted(([a], [b]) => (a < b ? -1 : 1));
});

const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._:-]*$/, 'is not the ID of a repository');

/** Repositories of dnf and yum, a file each; one that the host has already stays as it is. */
export const yumRepos = defineModule({
  keys: {
    yum_repos: z.record(id, repository).nullable(),
    yum_repo_dir: line.refine((path) => path.startsWith('/'), 'is not an absolute path'),
  },
  plan({ yum_repos: repositories, yum_repo_dir: directory = '/etc/yum.repos.d' }) {
    return Object.entries(repositories ?? {}).flatMap(([given, options]): Step[] => {
      const name = given.replaceAll(' ', '-');
      const file = posix.join(directory, `${name}.repo`);
      const content = [`[${name}]`, ...options.map(([key, one]) => `${key} = ${one}`), '', ''].join('\n');
      return [scriptStep(`yum_repos ${name}`, repositoryScript(file, content))];
    });
  },
});

const repositoryScript = (file: string, content: string) => `set -eu
file=${quote(file)}
if [ -e "$file" ]; then
  echo "$file is there already and stays as it is"
  exit 0
fi
mkdir -p "\${file%/*}"
printf %s ${quote(content)} >"$file"
`;
