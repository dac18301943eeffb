/** Paths of the API server: which collection or object one means, and what discovery answers. */
import { ApiError } from '../types.ts';
import { apiVersionOf, collectionOf, type Kind } from './storage.ts';

export interface Target {
  collection: string;
  kind: Kind;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
}

/** undefined for a path above the collections (discovery). */
export function parseTarget(url: URL, kinds: readonly Kind[]): Target | undefined {
  const [root, ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
  const [group, version, ...path] = root === 'api' ? ['', ...rest] : rest;
  if (path.length === 0) return undefined;
  const namespaced = path[0] === 'namespaces' && path.length > 2;
  const [plural, name, subresource] = namespaced ? path.slice(2) : path;
  const kind = kinds.find(({ resource }) => resource.group === group && resource.version === version && resource.plural === plural);
  if (kind === undefined) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  if (name !== undefined && namespaced !== kind.resource.namespaced) {
    throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  }
  return { collection: collectionOf(kind.resource), kind, namespace: namespaced ? path[1] : undefined, name, subresource };
}

export function discovery(path: string, kinds: readonly Kind[]): object {
  if (path === '/version') return { major: '1', minor: '35', gitVersion: 'v1.35.0' };
  const groups = Map.groupBy(
    kinds.map((kind) => kind.resource).filter((resource) => resource.group !== ''),
    (resource) => resource.group,
  );
  const describe = (name: string) => {
    const versions = [...new Set(groups.get(name)?.map((resource) => resource.version))].sort().reverse();
    const described = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
    return { name, versions: described, preferredVersion: described[0] };
  };
  const [, root, group, version] = path.split('/');
  if (root === 'apis' && group === undefined) return { kind: 'APIGroupList', apiVersion: 'v1', groups: [...groups.keys()].map(describe) };
  if (root === 'apis' && group !== undefined && version === undefined && groups.has(group)) {
    return { kind: 'APIGroup', apiVersion: 'v1', ...describe(group) };
  }
  const groupVersion = root === 'api' ? group : `${group ?? ''}/${version ?? ''}`;
  const served = kinds.filter(({ resource }) => apiVersionOf(resource) === groupVersion);
  if (served.length === 0) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  const resources = served.map(({ resource }) => ({ name: resource.plural, kind: resource.kind, namespaced: resource.namespaced }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
}
