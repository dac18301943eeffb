/** Bundles the manager: one file, one for its threads, and the shell programs that it sends to hosts. */
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { SCRIPTS } from './runner/program.ts';

const root = join(import.meta.dirname, '..');

/** CommonJS dependencies expect these in scope; an ES module has none of them. */
const banner = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url), __dirname = import.meta.dirname, __filename = import.meta.filename;`;

/**
 * Of @kubernetes/client-node the manager uses KubeConfig alone. Its classes for every API of Kubernetes would be half of the bundle and a
 * third of the manager's memory; the constructor of @dot-i/k8s-operator's Operator makes a client of one, which nobody calls.
 */
const withoutApis: Plugin = {
  name: 'without the API classes of @kubernetes/client-node',
  setup(building) {
    const client = join(root, 'node_modules/@kubernetes/client-node/dist');
    building.onResolve({ filter: /^@kubernetes\/client-node$/ }, () => ({ path: 'index', namespace: 'client-node' }));
    building.onResolve({ filter: /^\.\/gen\/index\.js$/ }, ({ resolveDir }) =>
      resolveDir === client ? { path: 'apis', namespace: 'client-node' } : null,
    );
    building.onLoad({ filter: /^index$/, namespace: 'client-node' }, () => ({
      contents: 'export { KubeConfig } from "./config.js"; export class CoreV1Api {}',
      resolveDir: client,
    }));
    building.onLoad({ filter: /^apis$/, namespace: 'client-node' }, () => ({
      contents: 'export const createConfiguration = (options) => options; export class ServerConfiguration {}',
    }));
  },
};

/**
 * What packages import and the manager never calls: a half of the rest, and of the time that it takes to load. fetch and gaxios are other
 * ways to the API server than its own; messages for people are in English.
 */
const UNUSED: { by: string; imports: string; contents: string }[] = [
  { by: '@kubernetes/client-node', imports: 'undici', contents: `${missing('Agent')} ${missing('ProxyAgent')}` },
  { by: '@dot-i/k8s-operator', imports: 'gaxios', contents: '' },
  { by: 'zod', imports: '../locales/index.js', contents: '' },
];

function missing(name: string): string {
  return `export class ${name} { constructor() { throw new Error("${name} is not in the bundle: this is a bug"); } }`;
}

const withoutUnused: Plugin = {
  name: 'without what is never called',
  setup(building) {
    building.onResolve({ filter: /^(undici|gaxios|\.\.\/locales\/index\.js)$/ }, ({ path, resolveDir }) => {
      const index = UNUSED.findIndex(({ by, imports }) => imports === path && resolveDir.startsWith(join(root, 'node_modules', by, '/')));
      return index === -1 ? null : { path: String(index), namespace: 'unused' };
    });
    building.onLoad({ filter: /./, namespace: 'unused' }, ({ path }) => ({ contents: UNUSED[Number(path)]?.contents ?? '' }));
  },
};

export async function bundle(folder: string, plugins: Plugin[] = []): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { metafile } = await build({
    entryPoints: { manager: join(root, 'operator/main.ts'), worker: join(root, 'operator/worker.ts') },
    outdir: folder,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minify: true,
    metafile: true,
    absWorkingDir: root,
    legalComments: 'none',
    banner: { js: banner },
    plugins: [withoutApis, withoutUnused, ...plugins],
    // Optional native parts of ssh2: it goes on without them.
    external: ['cpu-features', '*.node'],
    logLevel: 'warning',
  });
  for (const program of SCRIPTS) await copyFile(join(root, 'operator/runner', program), join(folder, program));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
  // For the bill of materials; the manager does not read it.
  await writeFile(join(folder, 'packages.json'), JSON.stringify(packagesOf(metafile)));
}

/** Folders of the npm packages of which something is in the bundle. */
function packagesOf({ outputs }: Metafile): string[] {
  const inputs = Object.values(outputs).flatMap((output) => Object.entries(output.inputs));
  const files = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file);
  return [...new Set(files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []))].sort();
}

if (import.meta.main) await bundle(process.argv[2] ?? join(root, 'dist'));
