import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { loadKubeConfig, parseKubeConfig, serverAccess } from './kubeconfig.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'kubeconfig-test-'));
const environment = { ...process.env };
afterEach(() => (process.env = { ...environment }));
afterAll(() => rmSync(folder, { recursive: true }));

const base64 = (text: string) => Buffer.from(text).toString('base64');
const config = (user: object, cluster: object = {}, name = 'a') =>
  JSON.stringify({
    clusters: [{ name, cluster: { server: `https://${name}:6443/`, 'certificate-authority-data': base64('CA'), ...cluster } }],
    users: [{ name, user }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  });
const write = (name: string, text: string): string => {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
};

describe('loadKubeConfig', () => {
  test('prefers the file that is named, then KUBECONFIG, of which the first file counts', () => {
    const [a, b] = [write('a', config({}, {}, 'a')), write('b', config({}, {}, 'b'))];
    process.env['KUBECONFIG'] = `${b}:${a}`;
    expect(serverAccess(loadKubeConfig(a)).server).toBe('https://a:6443');
    expect(serverAccess(loadKubeConfig()).server).toBe('https://b:6443');
    expect(loadKubeConfig().getContexts()).toHaveLength(2);
  });

  test('then ~/.kube/config; with nothing it says what it looked for', () => {
    process.env['HOME'] = folder;
    delete process.env['KUBECONFIG'];
    delete process.env['KUBERNETES_SERVICE_HOST'];
    expect(() => loadKubeConfig()).toThrow(
      `no kubeconfig: --kubeconfig and KUBECONFIG are not set, this is no pod with a service account, and there is no ${folder}/.kube/config`,
    );
  });

  describe('in a pod', () => {
    const mount = '/var/run/secrets/kubernetes.io/serviceaccount';
    beforeEach(() => {
      process.env['HOME'] = folder;
      delete process.env['KUBECONFIG'];
      process.env['KUBERNETES_SERVICE_HOST'] = 'fd00::1';
      process.env['KUBERNETES_SERVICE_PORT'] = '6443';
      mkdirSync(folder + mount, { recursive: true });
      for (const name of ['ca.crt', 'namespace', 'token']) write(`${mount}/${name}`, `first ${name}\n`);
    });
    afterEach(() => jest.useRealTimers());

    test('takes its service account, with the token that is there now: it is replaced before it expires', async () => {
      jest.useFakeTimers();
      const access = serverAccess(loadKubeConfig(undefined, folder));
      expect(access.server).toBe('https://[fd00::1]:6443');
      const credentials = { headers: { Authorization: 'Bearer first token' }, ca: Buffer.from('first ca.crt\n') };
      expect(await access.credentials()).toEqual(credentials);
      write(`${mount}/token`, 'second token\n');
      jest.advanceTimersByTime(5_000);
      expect(await access.credentials()).toEqual(credentials);
      jest.advanceTimersByTime(70_000);
      expect((await access.credentials()).headers).toEqual({ Authorization: 'Bearer second token' });
    });

    test('but a kubeconfig that is named comes first, and ~/.kube/config last', () => {
      const file = write('a', config({}, {}, 'a'));
      expect(serverAccess(loadKubeConfig(file, folder)).server).toBe('https://a:6443');
      mkdirSync(path.join(folder, '.kube'), { recursive: true });
      write('.kube/config', config({}, {}, 'home'));
      expect(serverAccess(loadKubeConfig(undefined, folder)).server).toBe('https://[fd00::1]:6443');
      delete process.env['KUBERNETES_SERVICE_HOST'];
      expect(serverAccess(loadKubeConfig(undefined, folder)).server).toBe('https://home:6443');
      rmSync(path.join(folder, '.kube'), { recursive: true });
    });
  });

  test.each([
    ['is not there', undefined, /cannot be used: ENOENT/],
    ['is no YAML', '{', /cannot be used: /],
    ['is empty', '', /cannot be used: /],
    ['has no context', '{"clusters": [], "users": []}', /its current context undefined names no cluster and user/],
  ])('names a file that %s', (name, text, message) => {
    const file = text === undefined ? path.join(folder, name) : write(name, text);
    expect(() => loadKubeConfig(file)).toThrow(message);
    expect(() => loadKubeConfig(file)).toThrow(file);
  });
});

describe('serverAccess', () => {
  const credentials = (user: object, cluster?: object) =>
    serverAccess(loadKubeConfig(write('config', config(user, cluster)))).credentials();

  test('with a client certificate', async () => {
    const user = { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') };
    expect(await credentials(user, { 'tls-server-name': 'name' })).toEqual({
      headers: {},
      ca: Buffer.from('CA'),
      cert: Buffer.from('CERT'),
      key: Buffer.from('KEY'),
      servername: 'name',
    });
  });

  test.each([
    ['a token', { token: 'secret' }, 'Bearer secret'],
    ['a token file', { tokenFile: 'token' }, 'Bearer from file'],
    ['a password', { username: 'u', password: 'p' }, `Basic ${base64('u:p')}`],
    ['an exec plugin', { exec: { command: 'printf', args: ['{"status":{"token":"from plugin"}}'] } }, 'Bearer from plugin'],
  ])('with %s', async (_, user, authorization) => {
    write('token', 'from file\n');
    expect((await credentials(user)).headers).toEqual({ Authorization: authorization });
  });

  test('a plugin that fails is an error, and is asked again', async () => {
    const access = serverAccess(loadKubeConfig(write('config', config({ exec: { command: path.join(folder, 'plugin') } }))));
    await expect(access.credentials()).rejects.toThrow(/^no credentials for the API server: .*ENOENT/);
    writeFileSync(path.join(folder, 'plugin'), '#!/bin/sh\necho \'{"status":{"token":"late"}}\'\n', { mode: 0o755 });
    expect((await access.credentials()).headers).toEqual({ Authorization: 'Bearer late' });
  });
});

describe('parseKubeConfig', () => {
  test('takes what stands in it', async () => {
    const access = serverAccess(parseKubeConfig(config({ token: 'secret' })));
    expect(await access.credentials()).toEqual({ headers: { Authorization: 'Bearer secret' }, ca: Buffer.from('CA') });
  });

  test.each([
    ['a plugin', { exec: { command: 'touch', args: [path.join(folder, 'ran')] } }, {}, 'exec'],
    ['an auth provider', { 'auth-provider': { name: 'gcp' } }, {}, 'auth-provider'],
    ['a token file', { tokenFile: '/etc/passwd' }, {}, 'tokenFile'],
    ['a token file under client-node’s name', { 'token-file': '/etc/passwd' }, {}, 'token-file'],
    ['a certificate file', { 'client-certificate': '/etc/passwd' }, {}, 'client-certificate'],
    ['a CA file', {}, { 'certificate-authority': '/etc/passwd' }, 'certificate-authority'],
    ['a proxy', {}, { 'proxy-url': 'http://proxy' }, 'proxy-url'],
  ])('refuses %s', (_, user, cluster, field) => {
    expect(() => parseKubeConfig(config(user, cluster))).toThrow(
      `the kubeconfig of the Secret cannot be used: it has ${field}, but only certificates, keys and tokens within it are taken`,
    );
  });

  test.each(['', '{', '[]', 'null', 'text'])('refuses %j', (text) =>
    expect(() => parseKubeConfig(text)).toThrow(/^the kubeconfig of the Secret cannot be used: /),
  );

  test.each([
    ['a quote that is not closed', 'users:\n- user: {token: "SECRET\n'],
    ['a key twice', 'a: SECRET\na: SECRET\n'],
    ['a tab', 'a:\n\tSECRET: SECRET\n'],
    ['an alias', 'a: *SECRET\n'],
    ['a text for a list', 'users: SECRET\nclusters: SECRET\n'],
    ['a text for a user', 'users: [SECRET]\n'],
    ['no name', 'users: [{user: {token: SECRET}}]\nclusters: [{cluster: {server: SECRET}}]\ncontexts: [{context: {}}]\n'],
  ])('of what cannot be read nothing is quoted: %s', (_, text) => {
    const thrown = (() => {
      try {
        return parseKubeConfig(text);
      } catch (error) {
        return error as Error;
      }
    })();
    expect(thrown).toMatchObject({ message: expect.stringMatching(/^the kubeconfig of the Secret cannot be used: /) as unknown });
    expect(inspect(thrown)).not.toContain('SECRET');
  });
});
