/**
 * Builds the image without a container tool and without a base image, in a Debian with Node.js: an OCI layout of every architecture in
 * out/image/oci, the same as one file, and the bill of materials. `--layers FOLDER` stops at the file system: the Dockerfile goes on.
 */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { billOf } from '../bills.ts';
import { project, root, tag } from '../version.ts';
import { layersOf, readConfig, thisBuild } from './build.ts';
import type { Architecture } from './debian.ts';
import { type Image, writeArchive, writeLayout } from './oci.ts';

const MIRROR = 'http://deb.debian.org/debian';
const ARCHITECTURES: Architecture[] = ['amd64', 'arm64'];

async function buildOffline(architectures: Architecture[], out: string, mirror: string): Promise<void> {
  const build = await thisBuild();
  const config = await readConfig(build);
  const images: Image[] = [];
  await mkdir(out, { recursive: true });
  for (const architecture of architectures) {
    const folder = join(out, architecture);
    await layersOf(architecture, folder, mirror);
    images.push({ architecture, layers: ['base', 'manager'].map((layer) => join(folder, layer)), config });
    await cp(join(folder, 'sbom.cdx.json'), join(out, billOf(architecture)));
  }
  const layout = join(out, 'oci');
  const sizes = await writeLayout(layout, images, { tag, time: build.time });
  const archive = join(out, `${project.name}-${tag}.oci.tar`);
  await writeArchive(layout, archive, build.time);
  for (const [architecture, size] of Object.entries(sizes)) console.log(`${architecture}: ${(size / 1e6).toFixed(1)} MB unpacked`);
  console.log(`wrote ${archive}`);
}

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
else await layersOf(architectures[0] ?? 'amd64', values.layers, values.mirror);
