/** Bundles the manager into dist/: one file and the shell programs that it sends to hosts. The image holds nothing else of ours. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

/** CommonJS dependencies expect these in scope; an ES module has none of them. */
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url), __dirname = import.meta.dirname, __filename = import.meta.filename;`;

await mkdir(dist, { recursive: true });
await build({
  entryPoints: [join(root, 'operator/main.ts')],
  outfile: join(dist, 'manager.js'),
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minify: true,
  legalComments: 'none',
  banner: { js: banner },
  // Optional native parts of ssh2: it goes on without them.
  external: ['cpu-features', '*.node'],
  logLevel: 'warning',
});
for (const program of ['runner.sh', 'ending.sh', 'job.sh']) await copyFile(join(root, 'operator/runner', program), join(dist, program));
await writeFile(join(dist, 'package.json'), '{ "type": "module" }\n');
