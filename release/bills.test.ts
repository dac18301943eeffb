import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { billOf, copyBills } from './bills.ts';
import { project } from './version.ts';

let [from, to] = ['', ''];
beforeEach(() => ([from, to] = [mkdtempSync(join(tmpdir(), 'from-')), mkdtempSync(join(tmpdir(), 'to-'))]));
afterEach(() => [from, to].forEach((folder) => rmSync(folder, { recursive: true })));
const write = (...names: string[]): void => names.forEach((name) => writeFileSync(join(from, name), '{}'));

test('those of this version are taken', async () => {
  const own = ['amd64', 'arm64'].map(billOf);
  write(...own, `${project.name}-v0.0.1-amd64.sbom.cdx.json`, `${project.name}-v${project.version}.oci.tar`);
  await copyBills(from, to);
  expect(readdirSync(to).sort()).toEqual(own);
});

test('where there is none of it, it says what writes them', async () => {
  write(`${project.name}-v0.0.1-amd64.sbom.cdx.json`);
  await expect(copyBills(from, to)).rejects.toThrow(`has no ${billOf('<architecture>')}: make image-offline writes them`);
});
