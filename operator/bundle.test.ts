import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Nothing that minification would rename. */
const MACHINERY = [
  /"before","(connect|exec)"/,
  /"after","(connect|exec)"/,
  /"during","exec"/,
  /FAILPOINT/,
  /patch remotemachines/,
  /exec claim/,
];

let folder: string;
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'bundle-test-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** Made by a process of its own: esbuild does not work within Jest's realm. */
function bundled(program: string): string {
  execFileSync(process.execPath, [join(import.meta.dirname, program), folder]);
  return readFileSync(join(folder, 'manager.js'), 'utf8');
}

test('the manager is shipped without a trace of failpoints', () => {
  const bundle = bundled('bundle.ts');
  expect(MACHINERY.filter((words) => words.test(bundle))).toEqual([]);
}, 60_000);

test('it holds nothing that only takes time to load, and starts', () => {
  bundled('bundle.ts');
  const packages = JSON.parse(readFileSync(join(folder, 'packages.json'), 'utf8')) as string[];
  expect(packages).toContain('node_modules/zod');
  expect(packages.filter((name) => /\/(undici|gaxios|tr46)$/.test(name))).toEqual([]);
  expect(readFileSync(join(folder, 'manager.js'), 'utf8')).not.toContain('caracteres'); // zod's words in other languages
  expect(execFileSync(process.execPath, [join(folder, 'manager.js'), '--version']).toString()).toMatch(/^\d+\.\d+\.\d+/);
}, 60_000);

test('the one that the tests kill has them', () => {
  const bundle = bundled('../e2e/failpoints/bundle.ts');
  expect(MACHINERY.slice(0, 4).filter((words) => !words.test(bundle))).toEqual([]);
}, 60_000);
