/** The one place of the version is package.json; everything that carries it asks here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..');

export interface Package {
  name: string;
  version: string;
  description: string;
  license: string;
  devDependencies: { node: string };
}

export const project = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package;

/** As tags, images and clusterctl write it: v0.1.0. */
export const tag = `v${project.version}`;
