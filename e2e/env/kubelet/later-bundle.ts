/** Bundles the manager as a later release of it would be, whose version is another one. Arguments: the version, the folder to bundle it into. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { bundle } from '../../../operator/bundle.ts';

const manifest = join(import.meta.dirname, '../../../package.json');
const [version, folder] = process.argv.slice(2);
if (version === undefined || folder === undefined) throw new Error('name the version and the folder to bundle into');

const withVersion: Plugin = {
  name: 'with another version',
  setup(building) {
    building.onLoad({ filter: /\/package\.json$/ }, async ({ path }) =>
      path === manifest
        ? { contents: JSON.stringify({ ...(JSON.parse(await readFile(path, 'utf8')) as object), version }), loader: 'json' }
        : null,
    );
  },
};
await bundle(folder, [withVersion]);
