/**
 * The image's file system, as two folders: `base` (Node.js and the libraries that it needs, the same from one version to the next) and
 * `manager` (the bundle). There is no shell in it, no package manager, and nothing that is written to.
 */
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../command.ts';
import { project, root } from '../version.ts';
import { type Architecture, type DebianPackage, readPackages } from './debian.ts';
import { type Bundled, licenceTexts, softwareBill } from './sbom.ts';

/** Folders of libraries, by architecture. */
const TRIPLETS = ['x86_64-linux-gnu', 'aarch64-linux-gnu'];

/** Where the bundle is in the image. */
const MANAGER = 'manager';
const DOCUMENTS = `usr/share/doc/${project.name}`;

/** What the libraries' packages hold beyond what a program needs at run time. */
const LEFT_OUT = [
  ...['boot', 'home', 'root', 'srv', 'media', 'mnt', 'opt', 'bin', 'sbin', 'usr/bin', 'usr/sbin', 'usr/games', 'usr/include', 'usr/src'],
  ...['usr/share/lintian', 'usr/share/gdb', 'usr/share/gcc', 'usr/share/info', 'usr/share/man', 'usr/share/base-files', 'usr/share/dict'],
  ...['etc/update-motd.d', 'etc/skel', 'etc/profile.d', 'etc/default', 'etc/issue', 'etc/issue.net', 'usr/local', 'usr/share/misc', 'var'],
];

/** The account that the image runs as has a name, so that programs which ask for it get an answer. */
const accounts = {
  'etc/passwd': 'root:x:0:0:root:/:/nonexistent\nnonroot:x:65532:65532:nonroot:/:/nonexistent\n',
  'etc/group': 'root:x:0:\nnonroot:x:65532:\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

export interface Ingredients {
  architecture: Architecture;
  /** Folder of the npm package that is Node.js for that architecture. */
  node: string;
  /** Folder of Debian's packages. */
  packages: string;
}

/** Fills `folder` with base/, manager/ and sbom.cdx.json. */
export async function makeLayers(folder: string, { architecture, node, packages }: Ingredients): Promise<void> {
  const libraries = await readPackages(packages);
  const base = join(folder, 'base');
  await rm(folder, { recursive: true, force: true });
  await mkdir(base, { recursive: true });
  await unpackLibraries(base, libraries);
  await cp(join(node, 'bin/node'), join(base, 'usr/local/bin/node'));
  await chmod(join(base, 'usr/local/bin/node'), 0o755);
  await mkdir(join(base, 'usr/share/doc/node'), { recursive: true });
  await cp(join(node, 'LICENSE'), join(base, 'usr/share/doc/node/LICENSE'));
  const bundled = await makeManager(join(folder, 'manager'));
  const bill = JSON.stringify(softwareBill({ architecture, libraries, bundled }), null, 1);
  await writeFile(join(folder, 'manager', DOCUMENTS, 'sbom.cdx.json'), bill);
  await writeFile(join(folder, 'sbom.cdx.json'), bill);
}

async function unpackLibraries(base: string, libraries: DebianPackage[]): Promise<void> {
  for (const { file } of libraries) await must('dpkg-deb', ['--extract', file, base]);
  for (const path of LEFT_OUT) await rm(join(base, path), { recursive: true, force: true });
  await removeConverters(base);
  for (const [path, text] of Object.entries(accounts)) await writeFile(join(base, path), text);
  // Where scanners look in an image without dpkg.
  await mkdir(join(base, 'var/lib/dpkg/status.d'), { recursive: true });
  for (const { name, control } of libraries) await writeFile(join(base, 'var/lib/dpkg/status.d', name), control);
  await symlink('/run', join(base, 'var/run'));
  for (const path of ['usr/local/bin', 'run', 'tmp', 'proc', 'sys', 'dev']) await mkdir(join(base, path), { recursive: true });
  await chmod(join(base, 'tmp'), 0o1777);
  await chmod(base, 0o755);
}

/** Of iconv's many: Node.js brings its own. */
async function removeConverters(base: string): Promise<void> {
  const places = ['lib', 'usr/lib'].flatMap((folder) => TRIPLETS.map((triplet) => join(base, folder, triplet)));
  for (const place of places) for (const name of ['gconv', 'audit']) await rm(join(place, name), { recursive: true, force: true });
}

/** In a process of its own: esbuild works within no test's realm. */
async function makeManager(folder: string): Promise<Bundled[]> {
  const bundle = await mkdtemp(join(tmpdir(), 'bundle-'));
  try {
    await must(process.execPath, [join(root, 'operator/bundle.ts'), bundle]);
    const packages = JSON.parse(await readFile(join(bundle, 'packages.json'), 'utf8')) as string[];
    await mkdir(join(folder, DOCUMENTS), { recursive: true });
    for (const name of await readdir(bundle)) if (name !== 'packages.json') await cp(join(bundle, name), join(folder, MANAGER, name));
    const bundled = await Promise.all(packages.map(readBundled));
    await cp(join(root, 'LICENSE'), join(folder, DOCUMENTS, 'LICENSE'));
    await writeFile(join(folder, DOCUMENTS, 'third-party-licences.txt'), await licenceTexts(bundled));
    return bundled;
  } finally {
    await rm(bundle, { recursive: true, force: true });
  }
}

async function readBundled(path: string): Promise<Bundled> {
  const folder = join(root, path);
  const content = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageFile;
  // Old packages name it the old way.
  const license = content.license ?? content.licenses?.[0]?.type;
  return { name: content.name, version: content.version, ...(license !== undefined && { license }), folder };
}

interface PackageFile {
  name: string;
  version: string;
  license?: string;
  licenses?: { type: string }[];
}
