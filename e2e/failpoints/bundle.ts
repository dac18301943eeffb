/** Bundles the manager that the tests kill: as it is shipped, and with failpoints. Argument: the folder to bundle it into. */
import { join } from 'node:path';
import type { Plugin } from 'esbuild';
import { bundle } from '../../operator/bundle.ts';

const armed = join(import.meta.dirname, 'failpoint.ts');

const withFailpoints: Plugin = {
  name: 'with failpoints',
  setup(building) {
    // Ours takes the names from the one that it replaces.
    building.onResolve({ filter: /\/failpoint\.ts$/ }, ({ importer }) => (importer === armed ? null : { path: armed }));
  },
};

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('name the folder to bundle into');
await bundle(folder, [withFailpoints]);
