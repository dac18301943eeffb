/** Every generated file, by its path in the repository. */
import * as markdown from 'prettier/plugins/markdown';
import * as yaml from 'prettier/plugins/yaml';
import { format } from 'prettier/standalone';
import { stringify } from 'yaml';
import { cloudConfigReference } from '../../operator/bootstrap/cloud-config/reference.ts';
import { GROUP } from '../infrastructure/group.ts';
import { customResourceDefinition } from './crd.ts';
import { KINDS } from './kinds.ts';
import { leaderElectionRole, managerRole, rightsReference } from './rbac.ts';
import { apiReference, conditionsReference } from './reference.ts';

const HEADER = '# Written by `npm run generate`. Do not edit.\n';

const documents = (objects: object[]): string =>
  HEADER + objects.map((object) => stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 })).join('---\n');

export async function generate(): Promise<Map<string, string>> {
  const files: [string, string][] = [
    ...KINDS.map((kind): [string, string] => [`manifests/crds/${GROUP}_${kind.plural}.yaml`, documents([customResourceDefinition(kind)])]),
    ['manifests/rbac/manager.yaml', documents(managerRole())],
    ['manifests/rbac/leader-election.yaml', documents(leaderElectionRole())],
    ['docs/reference/rights.md', rightsReference()],
    ['docs/reference/api.md', apiReference(KINDS)],
    ['docs/reference/conditions.md', conditionsReference()],
    ['docs/reference/cloud-config.md', cloudConfigReference()],
  ];
  return new Map(await Promise.all(files.map(async ([name, text]): Promise<[string, string]> => [name, await formatted(name, text)])));
}

/** As `npm run format` would leave it, so that the two never disagree. */
const formatted = async (name: string, text: string): Promise<string> =>
  format(text, { filepath: name, plugins: [markdown, yaml], printWidth: 140, singleQuote: true });
