/** The project's image, built without a base image and unpacked again: what a node would have pulled. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageConfig } from '../../../release/image/config.ts';
import { type Architecture, fetchPackages } from '../../../release/image/debian.ts';
import { type Build, readConfig, thisBuild } from '../../../release/image/build.ts';
import { type Ingredients, makeLayers } from '../../../release/image/layers.ts';
import { nodePackage } from '../../../release/image/node.ts';
import { type Descriptor, writeLayout } from '../../../release/image/oci.ts';
import { project, tag } from '../../../release/version.ts';
import { cached, lock } from '../cache.ts';
import { must } from '../command.ts';
import { thisMirror } from '../image.ts';
import type { Run } from '../run.ts';

/** As the manifests name it. */
export const IMAGE = `${project.name}:${tag}`;

export const architecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

export interface UnpackedImage {
  /** The OCI layout. */
  layout: string;
  /** Folder of the root file system, or several that are laid over each other, as mount(8) takes the lower ones of an overlay. */
  root: string;
  config: ImageConfig;
  /** Digest of the image. */
  digest: string;
  /** Bytes of its unpacked layers. */
  size: number;
  build: Build;
}

/** Builds the image of this checkout, once for all suites of a run. */
export async function projectImage(run: Run): Promise<UnpackedImage> {
  const folder = join(run.folder, 'image');
  const unlock = await lock(join(run.folder, '.image.lock'));
  try {
    const build = await thisBuild();
    if (!existsSync(folder)) await buildImage(folder, build);
    const layout = join(folder, 'oci');
    const { digest } = await manifestOf(layout);
    const sizes = JSON.parse(await readFile(join(folder, 'sizes.json'), 'utf8')) as Record<string, number>;
    return { layout, root: join(folder, 'root'), config: await configOf(layout), digest, size: sizes[architecture] ?? 0, build };
  } finally {
    unlock();
  }
}

/** As a later release of it would be: its manager is another build, which says that version. */
export async function laterImage(run: Run, image: UnpackedImage, version: string): Promise<UnpackedImage> {
  const folder = join(run.folder, `image-${version}`);
  const unlock = await lock(join(run.folder, '.image.lock'));
  try {
    if (!existsSync(folder)) {
      // In a process of its own: esbuild works within no test's realm.
      await must(process.execPath, [join(import.meta.dirname, 'later-bundle.ts'), version, join(`${folder}-making`, 'manager')]);
      await rename(`${folder}-making`, folder);
    }
    const digest = `sha256:${createHash('sha256').update(`${image.digest} ${version}`).digest('hex')}`;
    return { ...image, root: `${folder}:${image.root}`, digest, build: { ...image.build, version } };
  } finally {
    unlock();
  }
}

async function buildImage(folder: string, build: Build): Promise<void> {
  const making = `${folder}-making`;
  await mkdir(making, { recursive: true });
  await makeLayers(join(making, 'layers'), await ingredientsOf(architecture));
  const layers = ['base', 'manager'].map((layer) => join(making, 'layers', layer));
  const image = { architecture, layers, config: await readConfig(build) };
  const sizes = await writeLayout(join(making, 'oci'), [image], { tag, time: build.time, compression: 1 });
  await writeFile(join(making, 'sizes.json'), JSON.stringify(sizes));
  await unpack(join(making, 'oci'), join(making, 'root'));
  await rm(join(making, 'layers'), { recursive: true });
  await rename(making, folder);
}

/** What others make, kept: what changes from build to build is the project's own. */
export async function ingredientsOf(of: Architecture): Promise<Ingredients> {
  const recipe = [await readFile(join(import.meta.dirname, '../../../release/image/debian.ts'), 'utf8')];
  const packages = await cached({ name: 'image-packages', version: of, recipe }, async (folder) => {
    await fetchPackages(folder, of, thisMirror());
    await rm(join(folder, '.apt'), { recursive: true });
  });
  return { architecture: of, packages, node: await nodeOf(of) };
}

/** npm has brought that of this machine. */
async function nodeOf(of: Architecture): Promise<string> {
  if (of === architecture) return nodePackage(of, '');
  const version = `${project.devDependencies.node}-${of}`;
  const folder = await cached({ name: 'image-node', version, recipe: [] }, async (making) => {
    await nodePackage(of, making);
  });
  return join(folder, 'package');
}

/** Puts the layers of the layout on top of each other, as a runtime does. */
async function unpack(layout: string, root: string): Promise<void> {
  await mkdir(root);
  for (const { digest } of (await manifestOf(layout)).layers)
    await must('tar', ['--extract', '--gzip', '--preserve-permissions', '--file', blob(layout, digest), '--directory', root]);
}

interface ImageManifest {
  digest: string;
  config: Descriptor;
  layers: Descriptor[];
}

export const blob = (layout: string, digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
const read = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T;

/** Of this machine's architecture, from the layout's index. */
export async function manifestOf(layout: string): Promise<ImageManifest> {
  const top = await read<{ manifests: [Descriptor] }>(join(layout, 'index.json'));
  const { manifests } = await read<{ manifests: Descriptor[] }>(blob(layout, top.manifests[0].digest));
  const own = manifests.find(({ platform }) => platform?.architecture === architecture);
  if (own === undefined) throw new Error(`${layout} has no image for ${architecture}`);
  return { ...(await read<Omit<ImageManifest, 'digest'>>(blob(layout, own.digest))), digest: own.digest };
}

async function configOf(layout: string): Promise<ImageConfig> {
  const { config } = await manifestOf(layout);
  return (await read<{ config: ImageConfig }>(blob(layout, config.digest))).config;
}
