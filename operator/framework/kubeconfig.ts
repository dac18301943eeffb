/** Where the API server is and how to authenticate there. Apart from operator.ts the only file that loads @kubernetes/client-node. */
import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import path from 'node:path';
import { KubeConfig, type User } from '@kubernetes/client-node';
import { parse, YAMLParseError } from 'yaml';
import type { Credentials, ServerAccess } from './transport.ts';
import { messageOf } from './types.ts';

/** Where the kubelet puts it; client-node reads it again each minute, since it is replaced before it expires. */
const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * `file` (--kubeconfig), else the files in KUBECONFIG, else the pod's service account, else ~/.kube/config: controller-runtime's order.
 * Throws an Error that says what was looked for, or what is wrong with the file.
 * @param root of the pod's file system, for tests.
 */
export function loadKubeConfig(file?: string, root = ''): KubeConfig {
  const home = path.join(process.env['HOME'] ?? homedir(), '.kube', 'config');
  const named = process.env['KUBECONFIG']?.split(path.delimiter).filter((name) => name !== '') ?? [];
  if (file !== undefined) return loadFiles([file]);
  if (named.length > 0) return loadFiles(named);
  if (process.env['KUBERNETES_SERVICE_HOST'] && existsSync(root + SERVICE_ACCOUNT_TOKEN)) {
    const config = new KubeConfig();
    config.loadFromCluster(root);
    return config;
  }
  if (existsSync(home)) return loadFiles([home]);
  throw new Error(`no kubeconfig: --kubeconfig and KUBECONFIG are not set, this is no pod with a service account, and there is no ${home}`);
}

/** The first file that names a context, cluster or user counts, as for kubectl. */
function loadFiles(files: readonly string[]): KubeConfig {
  const merged = new KubeConfig();
  for (const file of files) {
    try {
      const config = new KubeConfig();
      config.loadFromFile(file);
      config.users = config.users.map((user) => withTokenFile(user, file));
      merged.currentContext ||= config.currentContext;
      merged.clusters.push(...config.clusters);
      merged.users.push(...config.users);
      merged.contexts.push(...config.contexts);
    } catch (error) {
      throw unusable(file, error);
    }
  }
  return complete(merged, files.join(path.delimiter));
}

/** client-node does not know `tokenFile` of a user, but has an auth provider of that name, which reads the file again each minute. */
function withTokenFile(user: User, file: string): User {
  const { users } = parse(readFileSync(file, 'utf8')) as { users?: { name: string; user?: { tokenFile?: string } }[] };
  const tokenFile = users?.find(({ name }) => name === user.name)?.user?.tokenFile;
  if (tokenFile === undefined) return user;
  return { ...user, authProvider: { name: 'tokenFile', config: { tokenFile: path.resolve(path.dirname(file), tokenFile) } } };
}

const INLINE_FIELDS = [
  ...['server', 'certificate-authority-data', 'insecure-skip-tls-verify', 'tls-server-name', 'extensions', 'disable-compression'],
  ...['client-certificate-data', 'client-key-data', 'token', 'username', 'password'],
];

/**
 * A kubeconfig from a Secret. Only what stands in it is used: exec plugins, auth providers, proxies and file names are refused, since
 * they would run, read or connect with the manager's rights. Throws an Error that says what is wrong.
 */
export function parseKubeConfig(text: string): KubeConfig {
  const config = new KubeConfig();
  try {
    const content = parse(text) as { clusters?: { cluster?: object }[]; users?: { user?: object }[] } | null;
    const named = [...(content?.clusters ?? []).map(({ cluster }) => cluster), ...(content?.users ?? []).map(({ user }) => user)];
    const foreign = named.flatMap((fields) => Object.keys(fields ?? {})).find((field) => !INLINE_FIELDS.includes(field));
    if (foreign !== undefined) throw new Error(`it has ${foreign}, but only certificates, keys and tokens within it are taken`);
    // Not the text: what was checked must be what is loaded.
    config.loadFromString(JSON.stringify(content));
  } catch (error) {
    throw unusable('of the Secret', error);
  }
  return complete(config, 'of the Secret');
}

/** The parser's own messages quote the text, which holds keys and tokens: they go no further, not as a cause either, which logs would show. */
function unusable(what: string, cause: unknown): Error {
  const refused = (why: string, options?: ErrorOptions): Error => new Error(`the kubeconfig ${what} cannot be used: ${why}`, options);
  if (cause instanceof YAMLParseError)
    return refused(`line ${cause.linePos?.[0].line ?? '?'} is not valid YAML (${cause.code.toLowerCase().replaceAll('_', ' ')})`);
  if (cause instanceof ReferenceError) return refused('it is not valid YAML (an alias names an anchor that does not exist before it)');
  return refused(messageOf(cause), { cause });
}

function complete(config: KubeConfig, what: string): KubeConfig {
  if (config.getCurrentCluster() !== null && config.getCurrentUser() !== null) return config;
  throw new Error(
    `the kubeconfig ${what} cannot be used: its current context ${JSON.stringify(config.currentContext)} names no cluster and user`,
  );
}

/** Milliseconds that credentials are reused for: reading files and asking plugins for every request would cost more than it gives. */
const REFRESH = 10_000;

/** What ApiClient needs of a KubeConfig: certificates, tokens, token files, exec plugins and proxies as client-node does them. */
export function serverAccess(config: KubeConfig): ServerAccess {
  const server = config.getCurrentCluster()?.server ?? '';
  let latest: { until: number; credentials: Promise<Credentials> } | undefined;
  const credentials = (): Promise<Credentials> => {
    if (latest !== undefined && performance.now() < latest.until) return latest.credentials;
    const asked = { until: performance.now() + REFRESH, credentials: authenticate(config) };
    asked.credentials.catch(() => (asked.until = 0));
    latest = asked;
    return asked.credentials;
  };
  return { server, credentials };
}

async function authenticate(config: KubeConfig): Promise<Credentials> {
  const cluster = config.getCurrentCluster();
  const options: RequestOptions = { headers: {} };
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw new Error(`no credentials for the API server: ${messageOf(cause)}`, { cause });
  }
  const headers = Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value).trim()]));
  if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return {
    headers,
    ...pick(options, ['ca', 'cert', 'key', 'servername', 'rejectUnauthorized']),
    ...(cluster?.proxyUrl && pick(options, ['agent'])),
  };
}

const pick = (options: RequestOptions, names: (keyof RequestOptions & keyof Credentials)[]): Partial<Credentials> =>
  Object.fromEntries(names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]));
