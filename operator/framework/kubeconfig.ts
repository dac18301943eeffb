/** Where the API server is and how to authenticate there. Apart from operator.ts the only file that loads @kubernetes/client-node. */
import { existsSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import path from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import type { Credentials, ServerAccess } from './http.ts';

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * `file` (--kubeconfig), else the files in KUBECONFIG, else the pod's service account, else ~/.kube/config: controller-runtime's order.
 * Throws an Error that says what was looked for, or what is wrong with the file.
 */
export function loadKubeConfig(file?: string): KubeConfig {
  const config = new KubeConfig();
  const home = path.join(homedir(), '.kube', 'config');
  if (file !== undefined) read(file, () => config.loadFromFile(file));
  else if (process.env['KUBECONFIG']) read(process.env['KUBECONFIG'], () => config.loadFromDefault());
  else if (process.env['KUBERNETES_SERVICE_HOST'] && existsSync(SERVICE_ACCOUNT_TOKEN)) config.loadFromCluster();
  else if (existsSync(home)) read(home, () => config.loadFromFile(home));
  else
    throw new Error(
      `no kubeconfig: --kubeconfig and KUBECONFIG are not set, this is no pod with a service account, and there is no ${home}`,
    );
  return complete(config, file ?? process.env['KUBECONFIG'] ?? home);
}

/**
 * A kubeconfig from a Secret. Only what stands in it is used: exec plugins, auth providers, proxies and file names are refused, since
 * they would run, read or connect with the manager's rights. Throws an Error that says what is wrong.
 */
export function parseKubeConfig(text: string): KubeConfig {
  const config = new KubeConfig();
  read('in the Secret', () => config.loadFromString(text));
  complete(config, 'in the Secret');
  const user = config.getCurrentUser();
  const cluster = config.getCurrentCluster();
  const foreign = [user?.exec, user?.authProvider, user?.certFile, user?.keyFile, cluster?.caFile, cluster?.proxyUrl].some(Boolean);
  if (foreign)
    throw new Error('the kubeconfig in the Secret names a plugin, a proxy or a file: only inline certificates, keys and tokens are taken');
  return config;
}

function read(what: string, load: () => void): void {
  try {
    load();
  } catch (cause) {
    throw new Error(`the kubeconfig ${what} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
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
    throw new Error(`no credentials for the API server: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
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
