/** Writes an OCI image layout (image-spec v1): blobs by their digest, an image for each architecture, and one index of them. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { ImageConfig } from './config.ts';
import type { Architecture } from './debian.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: 'linux'; architecture: Architecture };
  annotations?: Record<string, string>;
}

export interface Image {
  architecture: Architecture;
  /** Folders, the lowest first. */
  layers: string[];
  config: ImageConfig;
}

export interface LayoutOptions {
  /** Tag of the index. */
  tag: string;
  /** Seconds since 1970, of every file and of the image itself: the same contents give the same digests. */
  time: number;
  /** Of gzip. Default 9. */
  compression?: number;
}

/** Makes the layout in `folder` and returns the size of each image's unpacked layers, in bytes. */
export async function writeLayout(folder: string, images: Image[], options: LayoutOptions): Promise<Record<string, number>> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  const manifests: Descriptor[] = [];
  const sizes: Record<string, number> = {};
  for (const image of images) {
    const { descriptor, size } = await writeImage(folder, image, options);
    manifests.push(descriptor);
    sizes[image.architecture] = size;
  }
  const index = await writeJSON(folder, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': options.tag } };
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [named] }));
  await writeFile(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return sizes;
}

async function writeImage(folder: string, { architecture, layers, config }: Image, options: LayoutOptions) {
  const written: { descriptor: Descriptor; diffID: string; size: number }[] = [];
  for (const layer of layers) written.push(await writeLayer(folder, layer, options));
  const created = new Date(options.time * 1000).toISOString();
  const content = {
    created,
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: written.map(({ diffID }) => diffID) },
    history: layers.map((layer) => ({ created, created_by: layer.split('/').at(-1) })),
  };
  const configuration = await writeJSON(folder, 'application/vnd.oci.image.config.v1+json', content);
  const descriptor = await writeJSON(folder, MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: configuration,
    layers: written.map(({ descriptor: layer }) => layer),
  });
  const size = written.reduce((sum, layer) => sum + layer.size, 0);
  return { descriptor: { ...descriptor, platform: { os: 'linux' as const, architecture } }, size };
}

/** A tar of the folder in the order of names, everything root's. */
async function writeLayer(folder: string, source: string, { time, compression = 9 }: LayoutOptions) {
  const form = ['--sort=name', '--format=gnu', `--mtime=@${time}`, '--owner=0', '--group=0', '--numeric-owner'];
  const tar = spawn('tar', [...form, '--directory', source, '--create', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(tar, 'close') as Promise<[number | null]>;
  const part = join(folder, 'blobs/sha256/.part');
  const [plain, packed] = [digesting(), digesting()];
  await pipeline(tar.stdout, plain.stream, createGzip({ level: compression }), packed.stream, createWriteStream(part));
  const [code] = await ended;
  if (code !== 0) throw new Error(`tar of ${source} failed with exit code ${code}`);
  await rename(part, join(folder, 'blobs/sha256', packed.hex()));
  const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest: `sha256:${packed.hex()}`, size: packed.size() };
  return { descriptor, diffID: `sha256:${plain.hex()}`, size: plain.size() };
}

function digesting() {
  const hash = createHash('sha256');
  let size = 0;
  let digest: string | undefined;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  return { stream, size: () => size, hex: () => (digest ??= hash.digest('hex')) };
}

async function writeJSON(folder: string, mediaType: string, content: object): Promise<Descriptor> {
  const text = JSON.stringify(content);
  const digest = createHash('sha256').update(text).digest('hex');
  await writeFile(join(folder, 'blobs/sha256', digest), text);
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

/** The layout as one file, which podman, skopeo and containerd take as it is. */
export async function writeArchive(layout: string, file: string, time: number): Promise<void> {
  const form = ['--sort=name', `--mtime=@${time}`, '--owner=0', '--group=0', '--numeric-owner'];
  const tar = spawn('tar', [...form, '--directory', layout, '--create', '--file', file, '.'], { stdio: 'inherit' });
  const [code] = (await once(tar, 'close')) as [number | null];
  if (code !== 0) throw new Error(`tar of ${layout} failed with exit code ${code}`);
}

/** Digest of a file, in hexadecimal. */
export async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

export const sizeOf = async (file: string): Promise<number> => (await stat(file)).size;
