/** docs/reference/ignition.md, from the schemas of the sections. */
import { z } from 'zod';
import { rowsOf, type Schema, table } from '../cloud-config/reference.ts';
import { config, REFUSED } from './config.ts';
import { sinceOf } from './documents/versions.ts';
import { config2 } from './version2/config.ts';

const PAGE = `# Keys of Ignition

<!-- Written by \`npm run generate\` from the schemas in operator/bootstrap/ignition. Do not edit. -->

What an Ignition document may hold: bootstrap data whose Secret has the format \`ignition\`, or which is JSON with the key \`ignition\`. It is carried out in place, on a running host, and leaves it as Ignition and the first boot after it would: disks, arrays, file systems, groups, users, directories, files, links, units; then units that are enabled are started, and the run ends when they have come up, or one of them has failed, and where the document speaks of Cluster API's sentinel file once that is there. What the keys do is [Ignition's own documentation](https://coreos.github.io/ignition/specs/); [where the outcome differs](../ignition-differences.md) has a page of its own.

The whole document, with all documents that it merges or is replaced by, is checked before its host is touched: one with any other key, with a key that its version does not have, or with a value of another kind, fails with the path and the line of what is wrong. Documents within it are data URLs, since one that lies elsewhere can't be checked; files may also be fetched by the host, from http and https. A list is written as \`[]\`.
`;

export function ignitionReference(): string {
  return [
    PAGE,
    '## Refused',
    '',
    table(['key', 'why'], Object.entries(REFUSED)),
    '## Version 3.0.0 to 3.5.0',
    '',
    table(['key', 'value', 'since'], rows(config, 3)),
    '## Version 2.0.0 to 2.4.0',
    '',
    table(['key', 'value', 'since'], rows(config2, 2)),
  ].join('\n');
}

function rows(schema: z.ZodType, major: 2 | 3): [string, string, string][] {
  const written = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
  return Object.entries(written.properties ?? {})
    .flatMap(([key, one]) => rowsOf(key, one))
    .filter(([key]) => !(key in REFUSED))
    .map(([key, value]) => [key, value, `${major}.${sinceOf(major, key)}`]);
}
