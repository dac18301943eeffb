import { posix } from 'node:path';
import { z } from 'zod';
import { REFUSED } from '../config.ts';
import { guid, label } from '../sections/disks.ts';
import { format, labelFits, TOO_LONG } from '../sections/filesystems.ts';
import { ignition } from '../sections/ignition.ts';
import { mode, owner } from '../sections/nodes.ts';
import { credentials, group, profile } from '../sections/passwd.ts';
import { raid } from '../sections/raid.ts';
import { resource } from '../sections/resource.ts';
import { unitFields } from '../sections/systemd.ts';
import { flag, integer, line, lines, refused } from '../values.ts';

/** Only absolute; it may be written longer than it is. */
const path = line.refine((value) => value.startsWith('/'), 'is not an absolute path').transform((value) => posix.resolve(value));
const root = z.literal('root', {
  error: 'only root is supported, the file system that the host runs from; write below the place where another one is mounted',
});
const node = { filesystem: root, path, overwrite: flag.optional(), user: owner.optional(), group: owner.optional() };

const partition = z.strictObject({
  number: integer.optional(),
  label: label.optional(),
  size: integer.min(0).optional(),
  start: integer.min(0).optional(),
  sizeMiB: integer.min(0).optional(),
  startMiB: integer.min(0).optional(),
  typeGuid: guid.optional(),
  guid: guid.optional(),
  shouldExist: flag.optional(),
  wipePartitionEntry: flag.optional(),
});

const mount = z
  .strictObject({
    device: path,
    format,
    label: line.optional(),
    uuid: line.optional(),
    wipeFilesystem: flag.optional(),
    options: lines.optional(),
    create: z.strictObject({ force: flag.optional(), options: lines.optional() }).optional(),
  })
  .refine(labelFits, TOO_LONG)
  .refine(({ create, wipeFilesystem, options = [] }) => create === undefined || (wipeFilesystem !== true && options.length === 0), {
    message: 'is of 2.0.0 and stands alone, without wipeFilesystem and options',
    path: ['create'],
  });

/** A document of the versions 2.0.0 to 2.4.0. What both forms have is looked at once it has been translated. */
export const config2 = z.strictObject({
  ignition: ignition.extend({
    config: z.strictObject({ append: z.array(resource).optional(), replace: resource.optional() }).optional(),
  }),
  networkd: refused(REFUSED.networkd).optional(),
  passwd: z
    .strictObject({
      users: z.array(z.strictObject({ ...credentials, ...profile, create: z.strictObject(profile).optional() })).optional(),
      groups: z.array(group.omit({ shouldExist: true })).optional(),
    })
    .optional(),
  storage: z
    .strictObject({
      disks: z.array(z.strictObject({ device: path, wipeTable: flag.optional(), partitions: z.array(partition).optional() })).optional(),
      raid: raid.optional(),
      filesystems: z.array(z.strictObject({ name: line.optional(), path: line.optional(), mount: mount.optional() })).optional(),
      directories: z.array(z.strictObject({ ...node, mode: mode.optional() })).optional(),
      files: z.array(z.strictObject({ ...node, mode: mode.optional(), append: flag.optional(), contents: resource.optional() })).optional(),
      links: z.array(z.strictObject({ ...node, target: line, hard: flag.optional() })).optional(),
    })
    .optional(),
  systemd: z.strictObject({ units: z.array(z.strictObject({ ...unitFields, enable: flag.optional() })).optional() }).optional(),
});

export type Config2 = z.output<typeof config2>;
