/** What is in the image, part by part: a CycloneDX bill of materials, and the licences of what was bundled. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { project } from '../version.ts';
import { type Architecture, type DebianPackage, DISTRIBUTION } from './debian.ts';

/** An npm package of which something is in the bundle. */
export interface Bundled {
  name: string;
  version: string;
  license?: string;
  folder: string;
}

interface Component {
  type: string;
  name: string;
  version: string;
  purl: string;
  licenses?: { license: { name: string } }[];
}

/** CycloneDX 1.6. Without a serial number and a time, so that the same contents give the same file. */
export function softwareBill(parts: { architecture: Architecture; libraries: DebianPackage[]; bundled: Bundled[] }): object {
  const node = project.devDependencies.node;
  const components: Component[] = [
    { type: 'platform', name: 'node', version: node, purl: `pkg:generic/node@${node}`, licenses: [{ license: { name: 'MIT' } }] },
    ...parts.libraries.map(({ name, version }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${parts.architecture}&distro=${DISTRIBUTION}`,
    })),
    ...parts.bundled.map(({ name, version, license }) => ({
      type: 'library',
      name,
      version,
      purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
      ...(license !== undefined && { licenses: [{ license: { name: license } }] }),
    })),
  ];
  const own = { name: project.name, version: project.version };
  const component = {
    type: 'application',
    ...own,
    purl: `pkg:npm/${own.name}@${own.version}`,
    licenses: [{ license: { id: project.license } }],
  };
  return { bomFormat: 'CycloneDX', specVersion: '1.6', version: 1, metadata: { component }, components };
}

/** A licence asks to be passed on with what is under it. */
export async function licenceTexts(bundled: Bundled[]): Promise<string> {
  const texts = bundled.map(async ({ name, version, license, folder }) => {
    const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort();
    const contents = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
    return [`${name} ${version} (${license ?? 'see below'})`, ...contents].join('\n\n');
  });
  return (await Promise.all(texts)).join(`\n\n${'-'.repeat(80)}\n\n`);
}
