/** The few packages of Debian that Node.js stands on: fetched and verified by apt, for any architecture, without changing this machine. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../command.ts';

export type Architecture = 'amd64' | 'arm64';

const SUITE = 'bookworm';
export const DISTRIBUTION = 'debian-12';

/** C and C++ libraries, their licences (gcc-12-base), and what tells scanners which distribution this is. */
const PACKAGES = ['base-files', 'gcc-12-base', 'libc6', 'libgcc-s1', 'libstdc++6'];

export interface DebianPackage {
  name: string;
  version: string;
  /** The package's control file: what dpkg and scanners know it by. */
  control: string;
  /** Path of the .deb. */
  file: string;
}

const sources = (mirror: string): string =>
  [`${mirror} ${SUITE}`, `${mirror}-security ${SUITE}-security`]
    .map((archive) => `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive} main\n`)
    .join('');

/** Fetches the newest packages of the suite, security updates included, into `folder`. */
export async function fetchPackages(folder: string, architecture: Architecture, mirror: string): Promise<void> {
  const apt = join(folder, '.apt');
  for (const path of ['lists/partial', 'cache/archives/partial']) await mkdir(join(apt, path), { recursive: true });
  await writeFile(join(apt, 'sources.list'), sources(mirror));
  await writeFile(join(apt, 'status'), '');
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::status': join(apt, 'status'),
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::Cache': join(apt, 'cache'),
    'APT::Architecture': architecture,
    'APT::Architectures::': architecture,
    // The folder need not be one that the user _apt may write to.
    'APT::Sandbox::User': 'root',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await must('apt-get', [...options, 'update'], { cwd: folder });
  await must('apt-get', [...options, 'download', ...PACKAGES], { cwd: folder });
}

/** The packages that stand in `folder`. */
export async function readPackages(folder: string): Promise<DebianPackage[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.deb')).sort();
  if (files.length !== PACKAGES.length) throw new Error(`${folder} holds ${files.length} packages of Debian, not ${PACKAGES.join(', ')}`);
  return Promise.all(
    files.map(async (name) => {
      const file = join(folder, name);
      const control = await must('dpkg-deb', ['--field', file]);
      const field = (of: string): string => new RegExp(`^${of}: (.*)$`, 'm').exec(control)?.[1] ?? '';
      return { name: field('Package'), version: field('Version'), control, file };
    }),
  );
}
