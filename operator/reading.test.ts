import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { BootstrapDataError, HostUnknown } from './bootstrap/plan.ts';
import { planBootstrap } from './bootstrap/planner.ts';
import { decryptIn, plannerIn, startDecrypting, startPlanning } from './reading.ts';
import { parsePrivateKey } from './ssh/private-key.ts';
import { generateKey } from './ssh/testing/keys.ts';

const INSTANCE = { hostname: 'h', instanceID: 'i' };
const [planning, decrypting] = [startPlanning(), startDecrypting()];
const directory = mkdtempSync(join(tmpdir(), 'reading-'));
const planner = plannerIn(planning);
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await Promise.all([planning.close(), decrypting.close()]);
});
jest.setTimeout(60_000);

test('a plan from the thread is the plan', async () => {
  const data = { value: gzipSync('#cloud-config\nwrite_files: [{path: /a, content: é}]\nruncmd: [[ls, -l]]\nbootcmd: [a]\n') };
  const plan = await planner(data, INSTANCE);
  const here = planBootstrap(data, INSTANCE);
  expect(plan).toEqual({
    ...here,
    steps: here.steps.map((step) => (step.kind === 'file' ? { ...step, content: expect.any(Uint8Array) as unknown } : step)),
  });
});

test('what only the host can say is told from what is wrong', async () => {
  const value = Buffer.from('## template: jinja\n#cloud-config\nruncmd: ["{{ v1.distro }}"]\n');
  await expect(planner({ value }, INSTANCE)).rejects.toBeInstanceOf(HostUnknown);
});

test('a document that would take too long is refused, and the next one is read', async () => {
  const list = (of: string) => `[${Array.from({ length: 9 }, () => of).join(', ')}]`;
  const laughs = Array.from({ length: 9 }, (_, i) => `a${i}: &a${i} ${i === 0 ? list('lol') : list(`*a${i - 1}`)}`).join('\n');
  const loop =
    '## template: jinja\n#cloud-config\nruncmd: ["{% for i in range(90000) %}{% for j in range(90000) %}x{% endfor %}{% endfor %}"]\n';
  const bomb = gzipSync(Buffer.alloc(64 << 20, 'a'));
  const deep = `#cloud-config\nruncmd: ${'['.repeat(100_000)}`;
  for (const value of [Buffer.from(`#cloud-config\n${laughs}\n`), Buffer.from(loop), bomb, Buffer.from(deep)]) {
    const start = performance.now();
    await expect(planner({ value }, INSTANCE)).rejects.toMatchObject({ constructor: BootstrapDataError });
    expect(performance.now() - start).toBeLessThan(20_000);
  }
  await expect(planner({ value: Buffer.from('#cloud-config\nruncmd: [a]\n') }, INSTANCE)).resolves.toMatchObject({ steps: [{}] });
});

test('so is a refusal', async () => {
  const refused = planner({ value: Buffer.from('#cloud-config\nunheard: 1\n') }, INSTANCE);
  await expect(refused).rejects.toMatchObject({
    constructor: BootstrapDataError,
    reason: 'BootstrapKeyUnsupported',
    findings: [{ path: 'unheard', line: 2 }],
  });
});

test('and a key without its passphrase; a wrong one is told', async () => {
  const decrypt = decryptIn(decrypting);
  const { privateKey } = generateKey(directory, { passphrase: 'open sesame' });
  const opened = await decrypt(privateKey, 'open sesame', 'a:22');
  expect(parsePrivateKey(opened).getPublicSSH()).toEqual(parsePrivateKey(privateKey, 'open sesame').getPublicSSH());
  await expect(decrypt(privateKey, 'wrong', 'a:22')).rejects.toMatchObject({ reason: 'WrongPassphrase', hop: 'a:22' });
});
