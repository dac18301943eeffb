/** Volumes of a Pod, as folders of this machine: ServiceAccount tokens, ConfigMaps, Secrets, fields of the Pod, and empty ones. */
import { chmod, chown, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyObject, Client } from '../client.ts';
import type { KeyToPath, Pod, Volume, VolumeSource } from './types.ts';

/** Makes a volume's folder below `folder`, or brings it up to date, and returns it. */
export async function makeVolume(client: Client, pod: Pod, volume: Volume, folder: string): Promise<string> {
  const path = join(folder, volume.name);
  await mkdir(path, { recursive: true });
  if (volume.emptyDir !== undefined) {
    await chmod(path, 0o777);
    return path;
  }
  const files = new Map<string, string>();
  for (const source of volume.projected?.sources ?? [volume])
    for (const [name, content] of await filesOf(client, pod, source)) files.set(name, content);
  if (files.size === 0) throw new Error(`volume ${volume.name} is of a kind that is not built, or empty`);
  await writeAtOnce(path, files, pod.spec.securityContext?.runAsUser);
  return path;
}

/** Fields that refer to the Pod, as env and volumes may use them. */
export function fieldOf(pod: Pod, fieldPath: string): string {
  const { metadata, spec, status } = pod;
  const fields: Record<string, unknown> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': status?.['podIP'],
  };
  const value = fields[fieldPath];
  if (typeof value !== 'string') throw new Error(`${metadata.name}: fieldRef ${fieldPath} has no value here`);
  return value;
}

async function filesOf(client: Client, pod: Pod, source: VolumeSource): Promise<[string, string][]> {
  const { namespace } = pod.metadata;
  const { serviceAccountToken, configMap, secret, downwardAPI } = source;
  if (serviceAccountToken !== undefined) return [[serviceAccountToken.path, await requestToken(client, pod, serviceAccountToken)]];
  if (configMap?.name !== undefined) {
    const { data = {} } = await client.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: configMap.name });
    return chosen(data, configMap.items);
  }
  const secretName = secret?.secretName ?? secret?.name;
  if (secret !== undefined && secretName !== undefined) {
    const { data = {} } = await client.get<AnyObject>({ apiVersion: 'v1', kind: 'Secret', namespace, name: secretName });
    const plain = Object.entries(data).map(([key, value]): [string, string] => [key, Buffer.from(value, 'base64').toString()]);
    return chosen(Object.fromEntries(plain), secret.items);
  }
  return (downwardAPI?.items ?? []).map(({ path, fieldRef }) => [path, fieldOf(pod, fieldRef?.fieldPath ?? '')]);
}

const chosen = (data: Record<string, string>, items?: KeyToPath[]): [string, string][] =>
  items === undefined ? Object.entries(data) : items.map(({ key, path }) => [path, data[key] ?? '']);

/** A token that is valid as long as the Pod exists, as a kubelet asks for it. */
async function requestToken(
  client: Client,
  pod: Pod,
  { expirationSeconds = 3600, audience }: { expirationSeconds?: number; audience?: string },
) {
  const { namespace, name, uid } = pod.metadata;
  const { status } = await client.rest.call<{ status: { token: string } }>({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName ?? 'default'}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds,
        ...(audience !== undefined && { audiences: [audience] }),
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    },
  });
  return status.token;
}

let generation = 0;

/** All files change at one instant, by a link to the folder that holds them. Only the Pod's user reads them, where it names one. */
async function writeAtOnce(path: string, files: Map<string, string>, user?: number): Promise<void> {
  const name = `..${Date.now()}-${generation++}`;
  await mkdir(join(path, name));
  for (const [file, content] of files) {
    await writeFile(join(path, name, file), content, { mode: user === undefined ? 0o644 : 0o600 });
    if (user !== undefined) await chown(join(path, name, file), user, user);
  }
  await symlink(name, join(path, '..new'));
  await rename(join(path, '..new'), join(path, '..data'));
  for (const file of files.keys()) {
    await rm(join(path, file), { force: true });
    await symlink(join('..data', file), join(path, file));
  }
}
