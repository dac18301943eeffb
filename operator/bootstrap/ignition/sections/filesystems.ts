import { z } from 'zod';
import { scriptStep } from '../../cloud-config/module.ts';
import { flag, line, lines, path } from '../values.ts';
import { checkMount, fileSystemScript, MAKERS, MOUNTED, mountScript } from './filesystem_scripts.ts';
import { homesOf } from './passwd.ts';
import type { Section } from './section.ts';

const FORMATS = ['', 'ext4', 'btrfs', 'xfs', 'swap', 'vfat', 'none'] as const;
/** Characters that each takes. */
const LONGEST: Partial<Record<string, number>> = { ext4: 16, btrfs: 256, xfs: 12, swap: 15, vfat: 11 };

export const format = z.enum(FORMATS, { error: 'is not a file system; there are ext4, btrfs, xfs, vfat, swap and none' });
export const labelFits = ({ format: kind = '', label = '' }: { format?: string | undefined; label?: string | undefined }): boolean =>
  Buffer.byteLength(label) <= (LONGEST[kind] ?? 256);
export const TOO_LONG = { message: 'is longer than this file system takes', path: ['label'] };

const filesystem = z
  .strictObject({
    device: path,
    format: format.optional(),
    path: z.union([path, z.literal('')]).optional(),
    label: line.optional(),
    uuid: line.optional(),
    wipeFilesystem: flag.optional(),
    options: lines.optional(),
    mountOptions: lines.optional(),
  })
  .refine(labelFits, TOO_LONG)
  .refine(
    ({ format: kind = '', ...rest }) =>
      kind !== '' ||
      (![rest.path, rest.label, rest.uuid].some((value) => value !== undefined && value !== '') &&
        ![rest.options, rest.mountOptions].some((list) => (list ?? []).length > 0) &&
        rest.wipeFilesystem !== true),
    { message: 'is missing, and yet it is said what the file system is like', path: ['format'] },
  );

export const filesystems = z.array(filesystem);
export type Filesystem = z.output<typeof filesystem> & {
  /** 2.0's `create`: whatever is there is made anew, or nothing may be there. */
  create?: { force: boolean };
};

const unitOf = (point: string): string => `${point.slice(1).replaceAll('-', '\\x2d').replaceAll('/', '-')}.mount`;

/** File systems are made, and mounted before files are written, those above first. */
export const fileSystems: Section = {
  plan(config, { name, note }) {
    const { storage = {}, systemd } = config;
    const list: Filesystem[] = storage.filesystems ?? [];
    const made = list.flatMap((one) =>
      one.format === undefined || one.format === ''
        ? []
        : [scriptStep(name(one, one.device), fileSystemScript({ ...one, format: one.format }))],
    );
    const mounted = mountedOf(list);
    for (const one of mounted) {
      const unit = unitOf(one.path ?? '');
      if (systemd?.units?.some((given) => given.name === unit && given.enabled === true) === true) continue;
      note(one, ['path'], 'MountNotKept', `it is mounted now; no unit ${unit} of the document mounts it again after a reboot`);
    }
    const notes = homesOf(config).length > 0;
    return [...made, ...mounted.map((one) => scriptStep(`${name(one, one.path ?? '')} mount`, mountScript(one, notes)))];
  },
  checks({ storage: { filesystems: list = [] } = {} }) {
    const tools = [...new Set(list.flatMap(({ format: kind = '' }) => MAKERS[kind] ?? []))];
    const mounts = mountedOf(list).map(checkMount);
    return [
      ...tools.map((tool) => `needs ${tool} 'install the package that has it'`),
      ...(mounts.length === 0 ? [] : [MOUNTED, ...mounts]),
    ];
  },
};

const mountedOf = (list: Filesystem[]): Filesystem[] =>
  list
    .filter(({ path: point = '', format: kind = '' }) => point !== '' && !['', 'swap', 'none'].includes(kind))
    .toSorted((a, b) => (a.path ?? '').split('/').length - (b.path ?? '').split('/').length);
