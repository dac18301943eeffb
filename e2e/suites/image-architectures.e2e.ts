/** The image of each architecture, also of that which nothing here could start: by reading what its build has made. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig, thisBuild } from '../../release/image/build.ts';
import type { Architecture } from '../../release/image/debian.ts';
import { makeLayers } from '../../release/image/layers.ts';
import { type Descriptor, writeLayout } from '../../release/image/oci.ts';
import { must } from '../env/command.ts';
import { blob, ingredientsOf } from '../env/kubelet/image.ts';

/** Of elf(5) and the System V ABI: e_machine, the folder of libraries, and the loader that programs name. */
const FACTS = {
  amd64: { machine: 0x3e, triplet: 'x86_64-linux-gnu', loader: 'lib64/ld-linux-x86-64.so.2' },
  arm64: { machine: 0xb7, triplet: 'aarch64-linux-gnu', loader: 'lib/ld-linux-aarch64.so.1' },
} as const;
const architectures = Object.keys(FACTS) as (keyof typeof FACTS & Architecture)[];
const LAYERS = ['base', 'manager'];
const BILL = 'usr/share/doc/cluster-api-provider-remote/sbom.cdx.json';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'image-'));
  for (const architecture of architectures) await makeLayers(join(folder, architecture), await ingredientsOf(architecture));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Paths of the files of a layer. */
async function filesOf(architecture: Architecture, layer: string): Promise<string[]> {
  return (await must('find', [join(folder, architecture, layer), '-type', 'f', '-printf', '%P\n'])).trim().split('\n').sort();
}
const read = (architecture: Architecture, layer: string, file: string): Buffer => readFileSync(join(folder, architecture, layer, file));

test.each(architectures)('%s: every program and library is for it, and the loader is where Node.js looks for it', async (architecture) => {
  const { machine, triplet, loader } = FACTS[architecture];
  const programs = (await filesOf(architecture, 'base'))
    .map((file) => ({ file, head: read(architecture, 'base', file) }))
    .filter(({ head }) => head.subarray(0, 4).toString('latin1') === '\x7fELF');
  expect(programs.map(({ file }) => file)).toEqual(expect.arrayContaining(['usr/local/bin/node', `lib/${triplet}/libc.so.6`]));
  expect(programs.filter(({ head }) => head.readUInt16LE(18) !== machine).map(({ file }) => file)).toEqual([]);
  const node = programs.find(({ file }) => file === 'usr/local/bin/node');
  expect(node?.head.includes(`/${loader}\0`)).toBe(true);
  expect(existsSync(join(folder, architecture, 'base', 'lib', triplet, loader.replace(/.*\//, '')))).toBe(true);
});

test('beside names of the architecture all have the same files, and the project’s own are the same', async () => {
  const common = async (architecture: keyof typeof FACTS): Promise<string[]> =>
    (await filesOf(architecture, 'base'))
      .map((file) => file.replace(FACTS[architecture].triplet, 'triplet').replace(`Debian.${architecture}`, 'Debian'))
      // libmvec is vector code for amd64.
      .filter((file) => !/\/(ld-linux-|libmvec)/.test(file))
      .sort();
  const [one = [], other] = await Promise.all(architectures.map(common));
  expect(one.length).toBeGreaterThan(50);
  expect(other).toEqual(one);
  const own = await filesOf('amd64', 'manager');
  expect(own).toEqual(expect.arrayContaining(['manager/manager.js', BILL]));
  expect(await filesOf('arm64', 'manager')).toEqual(own);
  const differing = own.filter((file) => !read('amd64', 'manager', file).equals(read('arm64', 'manager', file)));
  expect(differing).toEqual([BILL]);
});

test.each(architectures)('%s: the bill of materials names the libraries of it', (architecture) => {
  const bill = JSON.parse(read(architecture, 'manager', BILL).toString()) as { components: { purl: string }[] };
  const libraries = bill.components.map(({ purl }) => purl).filter((purl) => purl.startsWith('pkg:deb/'));
  expect(libraries).toHaveLength(5);
  expect(libraries.filter((purl) => !purl.includes(`?arch=${architecture}&`))).toEqual([]);
});

test('both are in one index, by their platforms and with one configuration', async () => {
  const build = await thisBuild();
  const config = await readConfig(build);
  const layout = join(folder, 'oci');
  const images = architectures.map((architecture) => ({
    architecture,
    layers: LAYERS.map((layer) => join(folder, architecture, layer)),
    config,
  }));
  await writeLayout(layout, images, { tag: 'test', time: build.time, compression: 1 });
  const json = (digest: string): unknown => JSON.parse(readFileSync(blob(layout, digest), 'utf8'));
  const [index] = (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: [Descriptor] }).manifests;
  const { manifests } = json(index.digest) as { manifests: Descriptor[] };
  expect(manifests.map(({ platform }) => platform)).toEqual(architectures.map((architecture) => ({ os: 'linux', architecture })));
  const configs = manifests.map(({ digest }) => json((json(digest) as { config: Descriptor }).config.digest));
  expect(configs).toMatchObject(architectures.map((architecture) => ({ os: 'linux', architecture, config })));
});
