import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Step } from '../plan.ts';
import { planBootstrap } from '../planner.ts';
import { INSTANCE } from '../template/testing/table.ts';
import { planOf, refusalOf } from './testing.ts';
import { MODULES, WITHOUT_EFFECT } from './modules/index.ts';
import { REFUSED } from './modules/refused.ts';

/** The documents that end-to-end tests hold against cloud-init and Ignition. */
const CORPUS = join(__dirname, '../../../e2e/corpus');
const documents = readdirSync(CORPUS, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map(({ parentPath, name }) => join(parentPath, name))
  .map((path): [string, string] => [relative(CORPUS, path), filled(readFileSync(path, 'utf8'))]);

/** The suite of Ignition puts its server and hashes there. */
function filled(text: string): string {
  return text.replaceAll('@SERVER@', 'http://192.0.2.1').replaceAll(/@SHA256\(.*?\)@/g, '0'.repeat(64));
}

const stepsOf = (text: string) => planBootstrap({ value: Buffer.from(text) }, INSTANCE).steps;

/** What the documents of the corpus do not have. */
const FURTHER = `disk_setup:
  /dev/vdb: {table_type: gpt, layout: [25, [75, 82]], overwrite: true}
  /dev/vdc: {layout: true}
  /dev/vdd: {layout: remove}
fs_setup:
- {device: /dev/vdb, partition: auto, filesystem: ext4, label: data, overwrite: true}
- {device: vdc.1, filesystem: xfs, extra_opts: [-K]}
- {device: vdc, partition: none, cmd: 'mkfs -t %(filesystem)s %(device)s', filesystem: btrfs}
- {device: vdd, partition: any, replace_fs: ntfs, filesystem: ext4}
mounts: [[vdb.1, /data], ["LABEL=x", /x, ext4]]
swap: {size: auto}
ca_certs: {remove_defaults: true}
locale: de_DE.UTF-8
ssh_pwauth: true
snap: {assertions: [a], commands: [[refresh]]}
ntp: {ntp_client: ntp, pools: [a]}
apt: {sources: {a: {source: 'deb [signed-by=$KEY_FILE] x y', key: k}, b: {keyid: '1A265425'}}, sources_list: x, disable_suites: [security], security: [{arches: [arm64], uri: "http://x"}]}
final_message: it's $TIMESTAMP
package_upgrade: true
`;

const scripts = (steps: Step[]) =>
  steps.flatMap((step) => (step.kind === 'command' && step.interpreter?.[0] === '/bin/sh' ? [[step.name, step.script] as const] : []));

const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;
(has('shellcheck') ? test : test.skip)('shellcheck finds nothing in the scripts of the product', () => {
  // Those of Ignition are looked at beside its planner.
  const ours = documents.filter(([name]) => !name.endsWith('.ign'));
  const all = [...ours.map(([, text]) => stepsOf(text)), planOf(FURTHER).steps].flatMap(scripts);
  expect(all.length).toBeGreaterThan(40);
  // One run for all; commands of users (snap) are theirs. SC2016: words of a document in single quotes.
  const program = all
    .filter(([name]) => !name.startsWith('snap.commands'))
    .map(([name, script]) => `# ${name}\n(\n${script})\n`)
    .join('');
  const { stdout } = spawnSync('shellcheck', ['--shell=sh', '--exclude=SC2016,SC2030,SC2031,SC2329', '-'], {
    input: program,
    encoding: 'utf8',
  });
  expect(stdout).toBe('');
});

test('no key is in two lists, and refused keys are refused', () => {
  const carried = new Set(MODULES.flatMap((module) => Object.keys(module.keys)));
  for (const key of [...WITHOUT_EFFECT.keys(), ...REFUSED.keys()])
    expect({ key, carried: carried.has(key) }).toEqual({ key, carried: false });
  const [below, above] = [[...REFUSED].filter(([key]) => key.includes('.')), [...REFUSED].filter(([key]) => !key.includes('.'))];
  for (const [key, why] of above) expect(refusalOf(`${key}: x`)).toBe(`${key} (line 1): this key is not supported: ${why}`);
  for (const [key, why] of below) {
    const [top = '', name = ''] = key.split('.');
    const value = ['search', 'search_dns'].includes(name) ? `{primary: [{${name}: x}]}` : `{${name}: x}`;
    expect(refusalOf(`${top}: ${['users', 'write_files'].includes(top) ? `[${value}]` : value}`)).toContain(
      `${name} (line 1): this key is not supported: ${why}`,
    );
  }
});

/** Ignition refuses it before it touches anything, too. */
const isRefused = ([name]: [string, string]): boolean => name === 'ignition/fails-merged-link.ign';
test.each(documents.filter((one) => !isRefused(one)))('%s has a plan', (_, text) => expect(stepsOf(text).length).toBeGreaterThan(0));
test.each(documents.filter(isRefused))('%s is refused', (_, text) => expect(() => stepsOf(text)).toThrow('target (line 1): is missing'));

test('the order is that of cloud-init, whatever the order of the document is', () => {
  const text = documents.find(([name]) => name.endsWith('backwards.yaml'))?.[1] ?? '';
  expect(planOf(text).steps.map(({ name }) => name.replace(/[ [].*/, ''))).toEqual([
    'bootcmd',
    'bootcmd',
    'write_files',
    'hostname',
    'groups',
    'users',
    'timezone',
    'write_files',
    'runcmd',
    'runcmd',
    'runcmd',
    'final_message',
  ]);
});
