import { z } from 'zod';
import { refused } from './values.ts';
import { disks } from './sections/disks.ts';
import { filesystems } from './sections/filesystems.ts';
import { raid } from './sections/raid.ts';
import { ignition } from './sections/ignition.ts';
import { directory, file, link } from './sections/nodes.ts';
import { passwd } from './sections/passwd.ts';
import { systemd } from './sections/systemd.ts';

export const LUKS = 'a volume on a running host would have to be unlocked by it at every boot; encrypt the disk before the host is entered';
const KERNEL = 'a running host has its kernel already; give it these arguments before it is entered';

/** A document of the versions 3.0.0 to 3.5.0. */
export const config = z.strictObject({
  ignition,
  kernelArguments: refused(KERNEL).optional(),
  passwd: passwd.optional(),
  storage: z
    .strictObject({
      directories: z.array(directory).optional(),
      disks: disks.optional(),
      files: z.array(file).optional(),
      filesystems: filesystems.optional(),
      links: z.array(link).optional(),
      luks: refused(LUKS).optional(),
      raid: raid.optional(),
    })
    .optional(),
  systemd: systemd.optional(),
});

/** The one form in which all versions are carried out. */
export type Config = z.output<typeof config>;
