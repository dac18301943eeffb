/**
 * Writes a release into out/infrastructure-remote/vX.Y.Z: what clusterctl reads from a provider's repository (components, metadata and
 * cluster templates), the kinds by themselves, the chart, the image's bills of materials, and checksums of all of it. The version is
 * that of package.json; `--image registry.example/name` says where the image was pushed to, `--source https://…` where the project's
 * repository is, `--bills FOLDER` where its build has left the bills.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Document, parseDocument } from 'yaml';
import { findPrograms } from '../e2e/env/binaries.ts';
import { copyBills } from './bills.ts';
import { must } from './command.ts';
import { sha256 } from './image/oci.ts';
import { withAbsoluteLinks } from './links.ts';
import { metadata } from './metadata.ts';
import { project, root, tag } from './version.ts';

/** What container tools call an image that was built here. clusterctl takes no name without a registry. */
const LOCAL_IMAGE = `localhost/${project.name}`;

export interface ReleaseOptions {
  /** Where the image is, without a tag. */
  image?: string;
  /** Where the project's repository is. */
  source?: string;
  /** Folder with the image's bills of materials. */
  bills?: string;
}

/** Makes the release in `repository`/infrastructure-remote/<tag>, which it returns. */
export async function writeRelease(repository: string, { image = LOCAL_IMAGE, source, bills }: ReleaseOptions = {}): Promise<string> {
  checkRepository(image);
  const { kubectl, helm } = await findPrograms(['kubectl', 'helm'], ({ what }) => process.stderr.write(`${what}\n`));
  const folder = join(repository, 'infrastructure-remote', tag);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const build = (base: string): Promise<string> => must(kubectl, ['kustomize', join(root, 'manifests', base)]);
  await writeFile(join(folder, 'infrastructure-components.yaml'), checkVariables(withImage(await build('clusterctl'), image)));
  await writeFile(join(folder, `${project.name}-crds.yaml`), await build('crds'));
  await writeFile(join(folder, 'metadata.yaml'), metadata());
  const templates = join(root, 'templates');
  for (const name of await readdir(templates)) await cp(join(templates, name), join(folder, name));
  await packageChart(helm, folder, image, source);
  if (bills !== undefined) await copyBills(bills, folder);
  await writeChecksums(folder);
  return folder;
}

/** Components and chart add the tag. A colon before the last slash is that of a port. */
export function checkRepository(image: string): void {
  const [repository = ''] = /^.*\/[^:@]*|^[^:@]*/.exec(image) ?? [];
  if (repository === image) return;
  throw new Error(`the image ${image} has a tag or digest: give ${repository}, to which a release adds its own tag, ${tag}`);
}

/** The Deployment with the image where it is. */
function withImage(components: string, image: string): string {
  const named = components.replace(`image: ${project.name}:`, `image: ${image}:`);
  if (named === components) throw new Error(`no container has the image ${project.name}`);
  return named;
}

/** The chart, whose image is where this one is. */
async function packageChart(helm: string, folder: string, image: string, source?: string): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'chart-'));
  try {
    const chart = join(scratch, project.name);
    await cp(join(root, 'charts', project.name), chart, { recursive: true });
    await edit(join(chart, 'values.yaml'), (values) => values.setIn(['image', 'repository'], image));
    if (source !== undefined) await nameSource(chart, source);
    await must(helm, ['package', chart, '--destination', folder]);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Lets the chart say where the project is, and its alerts and README lead to the pages there. */
async function nameSource(chart: string, source: string): Promise<void> {
  const pages = `${source}/blob/${tag}`;
  await edit(join(chart, 'values.yaml'), (values) => values.setIn(['metrics', 'prometheusRule', 'runbooks'], `${pages}/docs/runbooks`));
  await edit(join(chart, 'Chart.yaml'), (description) => {
    description.set('home', source);
    description.set('sources', [source]);
  });
  const readme = join(chart, 'README.md');
  await writeFile(readme, withAbsoluteLinks(await readFile(readme, 'utf8'), `charts/${project.name}/README.md`, pages));
}

async function edit(path: string, change: (document: Document) => void): Promise<void> {
  const document = parseDocument(await readFile(path, 'utf8'));
  change(document);
  await writeFile(path, String(document));
}

/** clusterctl replaces whatever looks like a variable, and takes an empty default for none. */
function checkVariables(components: string): string {
  const foreign = components.replaceAll(/\$\{CAPREMOTE_[A-Z_]+:=[^}$]+\}/g, '').match(/\$[{A-Za-z_][^\n]*/);
  if (foreign !== null) throw new Error(`clusterctl would take this for a variable without a default: ${foreign[0]}`);
  return components;
}

/** As `sha256sum --check` reads it. */
async function writeChecksums(folder: string): Promise<void> {
  const names = (await readdir(folder)).sort();
  const lines = await Promise.all(names.map(async (name) => `${await sha256(join(folder, name))}  ${name}\n`));
  await writeFile(join(folder, 'sha256sums.txt'), lines.join(''));
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { image: { type: 'string' }, source: { type: 'string' }, bills: { type: 'string' } } });
  const { source, ...rest } = values;
  const folder = await writeRelease(join(root, 'out'), { ...rest, ...(source !== undefined && { source: source.replace(/\/$/, '') }) });
  console.log(`wrote ${folder}:\n${(await readdir(folder)).map((name) => `  ${name}`).join('\n')}`);
}

if (import.meta.main) void main();
