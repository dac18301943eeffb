/** Node.js as the npm package that it comes in: the very file that everything else runs with, for this architecture or another. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../command.ts';
import { project, root } from '../version.ts';
import type { Architecture } from './debian.ts';

/** As Node.js calls them. */
const NAMES = { amd64: 'x64', arm64: 'arm64' } as const;

/** Folder with bin/node and LICENSE. What npm ci has not brought is fetched into `folder`; npm compares it with the registry's digest. */
export async function nodePackage(architecture: Architecture, folder: string): Promise<string> {
  const name = `node-linux-${NAMES[architecture]}`;
  const installed = join(root, 'node_modules/node/node_modules', name);
  if (existsSync(join(installed, 'bin/node'))) return installed;
  await mkdir(folder, { recursive: true });
  const file = (await must('npm', ['pack', '--silent', `${name}@${project.devDependencies.node}`], { cwd: folder })).trim();
  await must('tar', ['--extract', '--gzip', '--file', file], { cwd: folder });
  return join(folder, 'package');
}
