/** What build.sh asks of the container tool that it finds; tools of Debian 12 were asked the same, and made both images of a list. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';

const IMAGE = 'registry.example/remote:v1';
let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(tmpdir(), 'build-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Tools that do not work, but for this one, which says what it was called with: a call a line. */
function build(tool: string, platforms: string[], script = ''): string[] {
  for (const name of ['docker', 'podman', 'buildah']) {
    const works = `echo "$*" >>'${folder}/calls'\n${script}\n[ "$1" != info ] || [ -z "\${2:-}" ] || echo arm64\n`;
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${name === tool ? works : 'exit 1'}\n`);
    chmodSync(path.join(folder, name), 0o755);
  }
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, VERSION: '1.0.0', BUILDER: '' };
  const { status, stderr } = spawnSync(path.join(__dirname, 'build.sh'), [IMAGE, ...platforms], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return readFileSync(path.join(folder, 'calls'), 'utf8').trim().split('\n').slice(1);
}

test.each(['podman', 'buildah'])('%s: one image by its tag, whose first stage runs where it is built', (tool) => {
  const [info, built, ...more] = build(tool, []);
  expect(more).toEqual([]);
  expect(info).toMatch(/^info --format /);
  expect(built).toContain(`build --format oci --tag ${IMAGE} --build-arg BUILDPLATFORM=linux/arm64 `);
  expect(built).not.toContain('--platform');
  expect(build(tool, ['linux/amd64']).at(-1)).toMatch(/ --platform linux\/amd64 \.$/);
});

test.each(['podman', 'buildah'])('%s: several are a new list, whatever had the name', (tool) => {
  const platforms = ['linux/amd64', 'linux/arm64'];
  const calls = build(tool, platforms, '[ "$1" != manifest ] || exit 1').slice(1);
  expect(calls).toEqual([
    `manifest rm ${IMAGE}`,
    `rmi ${IMAGE}`,
    expect.stringMatching(`^build --format oci --manifest ${IMAGE} .* --platform linux/amd64,linux/arm64 \\.$`),
  ]);
  rmSync(path.join(folder, 'calls'));
  expect(build(tool, platforms)).not.toContain(`rmi ${IMAGE}`);
});

test('docker: buildx, into its store', () => {
  const [built] = build('docker', ['linux/amd64', 'linux/arm64']);
  expect(built).toMatch(new RegExp(`^buildx build --load --tag ${IMAGE} .* --platform linux/amd64,linux/arm64 \\.$`));
});

test('none: it says what there is', () => {
  expect(() => build('none', [])).toThrow("podman or buildah. 'make image-offline' needs none.");
});
