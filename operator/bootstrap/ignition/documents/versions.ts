import type { Path } from '../../cloud-config/path.ts';
import { BootstrapDataError } from '../../plan.ts';
import type { Document } from './document.ts';

/** `2.3`: the major version decides the form, the minor one which keys there are. */
export interface Version {
  major: 2 | 3;
  minor: number;
}

const LATEST = { 2: 4, 3: 5 } as const;

/** Keys that came with a later version than the first; before it Ignition passes over them. `[]` is any index. */
const SINCE: Record<2 | 3, [keys: RegExp, minor: number][]> = {
  3: [
    [/^ignition\.proxy\b|\.httpHeaders$|\.mountOptions$/, 1],
    [/^ignition\..*\.compression$/, 1],
    [/^storage\.luks$|\.partitions\[\]\.resize$|^passwd\.(?:users|groups)\[\]\.shouldExist$/, 2],
    [/^kernelArguments$/, 3],
  ],
  2: [
    [
      /^storage\.(?:directories|links)$|^ignition\.timeouts$|\.mount\.(?:label|uuid|wipeFilesystem|options)$|\.enabled$|\.(?:user|group)\.name$/,
      1,
    ],
    [/^passwd\.users\[\]\.(?:uid|gecos|homeDir|noCreateHome|primaryGroup|groups|noUserGroup|system|noLogInit|shell)$/, 1],
    [
      /^storage\.(?:files|directories|links)\[\]\.overwrite$|^storage\.files\[\]\.append$|^ignition\.security$|^storage\.raid\[\]\.options$/,
      2,
    ],
    [/\.partitions\[\]\.(?:sizeMiB|startMiB|shouldExist|wipePartitionEntry)$/, 3],
    [/^ignition\.proxy$|\.httpHeaders$/, 4],
  ],
};

/**
 * @throws BootstrapDataError BootstrapFormatUnsupported
 */
export function versionOf({ value, line, name }: Document): Version {
  const ignition = value['ignition'];
  const version = typeof ignition === 'object' && ignition !== null && 'version' in ignition ? ignition.version : undefined;
  const [, major, minor] = typeof version === 'string' ? (/^([23])\.(\d)\.0$/.exec(version) ?? []) : [];
  const known = major === '2' ? 2 : 3;
  if (major !== undefined && Number(minor) <= LATEST[known]) return { major: known, minor: Number(minor) };
  const at = `${name === '' ? '' : `${name}: `}ignition.version (line ${line(['ignition', 'version'])})`;
  throw new BootstrapDataError(
    'BootstrapFormatUnsupported',
    `${at}: Ignition is understood in the versions 2.0.0 to 2.4.0 and 3.0.0 to 3.5.0`,
  );
}

/** First minor version that has a key, written as `storage.files[].path`. */
export const sinceOf = (major: 2 | 3, key: string): number => SINCE[major].find(([keys]) => keys.test(key))?.[1] ?? 0;

const FORMAT = /^storage\.filesystems\[\](?:\.mount)?\.format$/;

/** Keys, and a value, that the document's own version does not have. */
export function tooNew(value: unknown, { major, minor }: Version, path: Path = []): { path: Path; message: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const below = [...path, Array.isArray(value) ? Number(key) : key];
    const shape = below
      .map((part) => (typeof part === 'number' ? '[]' : `.${part}`))
      .join('')
      .slice(1);
    if (item === 'none' && FORMAT.test(shape) && (major === 2 || minor < 3))
      return [{ path: below, message: 'none is of version 3.3.0, which the document is older than' }];
    const since = sinceOf(major, shape);
    if (since <= minor || isNothing(item)) return tooNew(item, { major, minor }, below);
    return [{ path: below, message: `is of version ${major}.${since}.0, and the document of ${major}.${minor}.0, which does not have it` }];
  });
}

/** Programs write what they don't use as an empty object. */
const isNothing = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.values(value).every(isNothing);
