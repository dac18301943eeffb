import { z } from 'zod';
import { refused } from './values.ts';
import { disks } from './sections/disks.ts';
import { filesystems } from './sections/filesystems.ts';
import { raid } from './sections/raid.ts';
import { ignition } from './sections/ignition.ts';
import { directory, file, link } from './sections/nodes.ts';
import { passwd } from './sections/passwd.ts';
import { systemd } from './sections/systemd.ts';

/** Keys of all versions that are refused where they ask for something, each with the reason that a person is told. */
export const REFUSED = {
  kernelArguments: 'a running host has its kernel already; give it these arguments before it is entered',
  'storage.luks': 'a volume on a running host would have to be unlocked by it at every boot; encrypt the disk before the host is entered',
  networkd: 'the network of a host that is entered over it stays as it is',
} as const;

/** A document of the versions 3.0.0 to 3.5.0. */
export const config = z.strictObject({
  ignition,
  kernelArguments: refused(REFUSED.kernelArguments).optional(),
  passwd: passwd.optional(),
  storage: z
    .strictObject({
      directories: z.array(directory).optional(),
      disks: disks.optional(),
      files: z.array(file).optional(),
      filesystems: filesystems.optional(),
      links: z.array(link).optional(),
      luks: refused(REFUSED['storage.luks']).optional(),
      raid: raid.optional(),
    })
    .optional(),
  systemd: systemd.optional(),
});

/** The one form in which all versions are carried out. */
export type Config = z.output<typeof config>;
