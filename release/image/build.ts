/** The parts of a build of the image, whoever goes on with them. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../command.ts';
import { project, root } from '../version.ts';
import { imageConfig } from './config.ts';
import { type Architecture, fetchPackages } from './debian.ts';
import { makeLayers } from './layers.ts';
import { nodePackage } from './node.ts';

/** Everything that the Dockerfile is told from outside. */
export interface Build {
  version: string;
  revision: string;
  /** Seconds since 1970. */
  time: number;
}

/** Of the checkout's commit; SOURCE_DATE_EPOCH overrides its time. */
export async function thisBuild(): Promise<Build> {
  const git = async (...args: string[]): Promise<string> =>
    (await must('git', ['-c', `safe.directory=${root}`, '-C', root, ...args])).trim();
  const [revision = '', time = ''] = (await git('log', '-1', '--format=%H %ct')).split(' ');
  return { version: project.version, revision, time: Number(process.env['SOURCE_DATE_EPOCH'] ?? time) };
}

export async function readConfig({ version, revision, time }: Build) {
  const values = { VERSION: version, REVISION: revision, CREATED: new Date(time * 1000).toISOString() };
  return imageConfig(await readFile(join(root, 'Dockerfile'), 'utf8'), values);
}

/** Makes the layers of one architecture in `folder`. */
export async function layersOf(architecture: Architecture, folder: string, mirror: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    const packages = join(scratch, 'packages');
    await mkdir(packages);
    await fetchPackages(packages, architecture, mirror);
    const node = await nodePackage(architecture, join(scratch, 'node'));
    await makeLayers(folder, { architecture, node, packages });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
