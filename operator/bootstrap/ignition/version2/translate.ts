/** Documents of 2.x in the form of 3.x, as far as the two can say the same; what they can't is a problem. */
import type { Config } from '../config.ts';
import type { Places } from '../documents/places.ts';
import type { Partition } from '../sections/disks.ts';
import type { Filesystem } from '../sections/filesystems.ts';
import type { Directory, File, Link } from '../sections/nodes.ts';
import type { User } from '../sections/passwd.ts';
import type { Unit } from '../sections/systemd.ts';
import type { Config2 } from './config.ts';

type List<Key extends keyof NonNullable<Config2['storage']>> = NonNullable<NonNullable<Config2['storage']>[Key]>[number];
type User2 = NonNullable<NonNullable<Config2['passwd']>['users']>[number];
type Unit2 = NonNullable<NonNullable<Config2['systemd']>['units']>[number];

/** Sectors of 512 bytes in a MiB. */
const SECTORS = 2048;

export function translate({ ignition, passwd, storage, systemd }: Config2, places: Places): Config {
  const { config, ...rest } = ignition;
  const moved =
    <Old extends object, New extends object>(by: (old: Old) => New) =>
    (old: Old): New =>
      places.derive(by(old), old);
  return {
    ignition: places.derive({ ...rest, config: { merge: config?.append, replace: config?.replace } }, ignition),
    passwd: { users: passwd?.users?.map(moved(user)), groups: passwd?.groups },
    storage: {
      disks: storage?.disks?.map(
        moved((old: List<'disks'>) => ({ ...old, partitions: old.partitions?.map(moved((one) => partition(one, places))) })),
      ),
      raid: storage?.raid,
      filesystems: storage?.filesystems?.flatMap((old) =>
        old.mount === undefined ? [] : [places.derive(filesystem(old.mount), old.mount)],
      ),
      directories: storage?.directories?.map(moved(directory)),
      files: storage?.files?.map(moved(file)),
      links: storage?.links?.map(moved(link)),
    },
    systemd: { units: systemd?.units?.map(moved(unit)) },
  };
}

/** `create` of 2.0 has what later stands beside it. */
const user = ({ create, ...rest }: User2): User => ({ ...rest, ...create });

function partition(old: NonNullable<List<'disks'>['partitions']>[number], places: Places): Partition {
  const { size, start, ...rest } = old;
  const whole = (value: number | undefined, key: 'size' | 'start') => {
    if (value === undefined) return undefined;
    if (value % SECTORS !== 0) places.problem(old, [key], 'is not a whole number of MiB (2048 sectors)');
    return Math.floor(value / SECTORS);
  };
  return { ...rest, sizeMiB: whole(size, 'size') ?? rest.sizeMiB, startMiB: whole(start, 'start') ?? rest.startMiB };
}

function filesystem({ create, options, ...rest }: NonNullable<List<'filesystems'>['mount']>): Filesystem {
  if (create === undefined) return { ...rest, options };
  return { ...rest, options: create.options, create: { force: create.force ?? false } };
}

/** Without a mode a directory has no rights at all, and what is missing above it becomes like it. */
const directory = ({ user: owner, group, mode = 0, ...rest }: List<'directories'>): Directory => ({
  ...rest,
  mode,
  user: known(owner) ?? { id: 0 },
  group: known(group) ?? { id: 0 },
  likeIt: true,
});

/** A file takes the place of what is there, unless it says otherwise or is added to it. */
function file({ append, contents = {}, overwrite, mode, ...rest }: List<'files'>): File {
  if (append === true) return { ...rest, mode, append: [contents] };
  return { ...rest, mode: mode ?? 0, overwrite: overwrite ?? true, contents: { ...contents, source: contents.source ?? '' } };
}

const link = (old: List<'links'>): Link => ({ ...old });

const known = (owner: { id?: number | undefined; name?: string | undefined } | undefined) =>
  owner?.id === undefined && (owner?.name ?? '') === '' ? undefined : owner;

/** What is false or empty says nothing here. */
const unit = ({ enable, enabled, mask, dropins, ...rest }: Unit2): Unit => ({
  ...rest,
  enabled: enable === true ? true : enabled,
  mask: mask === true ? true : undefined,
  dropins: dropins?.map((one) => ({ ...one, contents: one.contents === '' ? undefined : one.contents })),
});
