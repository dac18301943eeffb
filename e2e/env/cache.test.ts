import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artifactFolder, cached } from './cache.ts';

let base: string;
beforeEach(async () => (base = await mkdtemp(join(tmpdir(), 'cache-test-'))));
afterEach(() => rm(base, { recursive: true }));
const artifact = { name: 'thing', version: 'v1', recipe: ['a'] };

test('the key holds name, version and the hash of the recipe', () => {
  expect(artifactFolder(artifact, base)).toMatch(/\/thing-v1-[0-9a-f]{12}$/);
  expect(artifactFolder({ ...artifact, recipe: ['b'] }, base)).not.toBe(artifactFolder(artifact, base));
});

test('two that ask at once make it once', async () => {
  let made = 0;
  const make = async (folder: string) => {
    made++;
    await writeFile(join(folder, 'file'), 'content');
  };
  const [one, two] = await Promise.all([cached(artifact, make, base), cached(artifact, make, base)]);
  expect(one).toBe(two);
  expect(made).toBe(1);
  expect(await readFile(join(one, 'file'), 'utf8')).toBe('content');
});

test('a make that fails leaves nothing that looks done, and the next one clears it away', async () => {
  const failing = async (folder: string) => {
    await writeFile(join(folder, 'half'), '');
    throw new Error('interrupted');
  };
  await expect(cached(artifact, failing, base)).rejects.toThrow('interrupted');
  expect(existsSync(artifactFolder(artifact, base))).toBe(false);
  const folder = await cached(artifact, (path) => writeFile(join(path, 'whole'), ''), base);
  expect(await readdir(folder)).toEqual(['whole']);
  expect((await readdir(base)).filter((name) => name.includes('making'))).toEqual([]);
});
