/**
 * Builds the image without a container tool and without a base image, in a Debian with Node.js: an OCI layout of every architecture in
 * out/image/oci, the same as one file, and the bill of materials. `--layers FOLDER` stops at the file system: the Dockerfile goes on.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { must } from '../command.ts';
import { project, root, tag } from '../version.ts';
import { imageConfig } from './config.ts';
import { type Architecture, fetchPackages } from './debian.ts';
import { makeLayers } from './layers.ts';
import { nodePackage } from './node.ts';
import { type Image, writeArchive, writeLayout } from './oci.ts';

const MIRROR = 'http://deb.debian.org/debian';
const ARCHITECTURES: Architecture[] = ['amd64', 'arm64'];

/** Everything that the Dockerfile is told from outside. */
export interface Build {
  version: string;
  revision: string;
  /** Seconds since 1970. */
  time: number;
}

/** Of the checkout's commit; SOURCE_DATE_EPOCH overrides its time. */
export async function thisBuild(): Promise<Build> {
  const git = async (...args: string[]): Promise<string> => (await must('git', ['-c', `safe.directory=${root}`, '-C', root, ...args])).trim();
  const [revision = '', time = ''] = (await git('log', '-1', '--format=%H %ct')).split(' ');
  return { version: project.version, revision, time: Number(process.env['SOURCE_DATE_EPOCH'] ?? time) };
}

export async function readConfig({ version, revision, time }: Build) {
  const values = { VERSION: version, REVISION: revision, CREATED: new Date(time * 1000).toISOString() };
  return imageConfig(await readFile(join(root, 'Dockerfile'), 'utf8'), values);
}

/** Makes the layers of one architecture in `folder`; `packages` may hold Debian's already. */
export async function layersOf(architecture: Architecture, folder: string, packages: string | undefined, mirror = MIRROR): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    const libraries = packages ?? join(scratch, 'packages');
    if (!existsSync(libraries)) {
      await mkdir(libraries);
      await fetchPackages(libraries, architecture, mirror);
    }
    const node = await nodePackage(architecture, join(scratch, 'node'));
    await makeLayers(folder, { architecture, node, packages: libraries });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function buildOffline(architectures: Architecture[], out: string, mirror: string): Promise<void> {
  const build = await thisBuild();
  const config = await readConfig(build);
  const images: Image[] = [];
  await mkdir(out, { recursive: true });
  for (const architecture of architectures) {
    const folder = join(out, architecture);
    await layersOf(architecture, folder, undefined, mirror);
    images.push({ architecture, layers: ['base', 'manager'].map((layer) => join(folder, layer)), config });
    await cp(join(folder, 'sbom.cdx.json'), join(out, `${project.name}-${tag}-${architecture}.sbom.cdx.json`));
  }
  const layout = join(out, 'oci');
  const sizes = await writeLayout(layout, images, { tag, time: build.time });
  const archive = join(out, `${project.name}-${tag}.oci.tar`);
  await writeArchive(layout, archive, build.time);
  for (const [architecture, size] of Object.entries(sizes)) console.log(`${architecture}: ${(size / 1e6).toFixed(1)} MB unpacked`);
  console.log(`wrote ${archive}`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      architecture: { type: 'string', multiple: true, default: ARCHITECTURES },
      layers: { type: 'string' },
      out: { type: 'string', default: join(root, 'out/image') },
      mirror: { type: 'string', default: MIRROR },
    },
  });
  const architectures = values.architecture.map((name) => {
    const known = ARCHITECTURES.find((one) => one === name);
    if (known === undefined) throw new Error(`--architecture ${name}: it is ${ARCHITECTURES.join(' or ')}`);
    return known;
  });
  if (values.layers === undefined) await buildOffline(architectures, values.out, values.mirror);
  else await layersOf(architectures[0] ?? 'amd64', values.layers, undefined, values.mirror);
}
