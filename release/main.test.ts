import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRepository, writeRelease } from './main.ts';
import { tag } from './version.ts';

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'release-'))));
afterEach(() => rm(folder, { recursive: true }));

test.each([
  ['remote:v1', 'remote'],
  ['registry.example/remote:v1', 'registry.example/remote'],
  ['registry.example:5000/team/remote:v1', 'registry.example:5000/team/remote'],
  [`registry.example:5000/remote@sha256:${'0'.repeat(64)}`, 'registry.example:5000/remote'],
  [`registry.example/remote:v1@sha256:${'0'.repeat(64)}`, 'registry.example/remote'],
])('%s is refused before anything is written', async (image, repository) => {
  await expect(writeRelease(folder, { image })).rejects.toThrow(
    `the image ${image} has a tag or digest: give ${repository}, to which a release adds its own tag, ${tag}`,
  );
  expect(await readdir(folder)).toEqual([]);
});

test.each(['remote', 'localhost/remote', 'registry.example:5000/remote', 'registry.example/team/remote'])('%s is taken', (image) => {
  expect(() => checkRepository(image)).not.toThrow();
});
