import { z } from 'zod';
import type { Step } from '../../plan.ts';
import { type Context, scriptStep } from '../module.ts';
import { Float } from '../scalars.ts';
import { line } from '../values.ts';
import { mountsScript, type Mount, type Swap } from './mounts_script.ts';

/** A field of /etc/fstab; it is one word there. */
const field = z
  .union([line, z.number().transform(String), z.instanceof(Float).transform(String), z.boolean().transform(String), z.null()], {
    error: 'expected a text, a number or null',
  })
  .refine((value) => value === null || (value !== '' && !/\s/.test(value)), 'is empty or holds white space');

/** Each of its fields that is wrong is told, also where there are too many: z.max() would look at none of them. */
const entry = z
  .array(field)
  .min(1, 'is empty')
  .refine((fields) => fields.length <= 6, {
    message: 'has more than the six fields of /etc/fstab',
    when: ({ value }) => Array.isArray(value),
  });

const UNITS: Record<string, number> = { '': 1, B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const size = z
  .union([z.number(), z.string()], { error: 'expected a number of bytes, such as 512M' })
  .transform((value, context): number => {
    const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)([BKMGT]?)B?$/.exec(String(value)) ?? [];
    const factor = UNITS[unit];
    if (number !== '' && factor !== undefined) return Math.floor(Number(number) * factor);
    context.addIssue({ code: 'custom', message: 'is not a number of bytes, such as 512M' });
    return z.NEVER;
  });

const path = line.refine((value) => /^\/[^\s]*$/.test(value), 'is not an absolute path without white space');

const swap = z
  .strictObject({
    filename: path.optional(),
    size: z.union([z.literal('auto'), size]).optional(),
    maxsize: size.nullable().optional(),
  })
  .nullable();

/** Names by which cloud-init asks a cloud for its disks; nobody answers here. */
const CLOUD_DEVICE = /^(?:ami|root|swap|ephemeral\d*|ebs\d*)(?:\.\d+)?$/;

export const mountKeys = {
  mounts: z.array(entry).nullable(),
  mount_default_fields: z.array(field).length(6, 'has not the six fields of /etc/fstab').nullable(),
  swap,
};

interface Values {
  mounts?: z.output<typeof entry>[] | null;
  mount_default_fields?: (string | null)[] | null;
  swap?: z.output<typeof swap>;
}

/** Lines of /etc/fstab that are kept apart by a comment of their own, and mounted at once. */
export function planMounts(
  { mounts: entries, mount_default_fields: defaults, swap: file }: Values,
  { note }: Context,
  named: (device: string) => string,
): Step[] {
  const list = entries ?? [];
  const filled = fill(list, defaults ?? DEFAULTS).map((mount) => ({ ...mount, device: named(mount.device) }));
  const known = filled.filter(({ device, index }) => {
    if (!CLOUD_DEVICE.test(device)) return true;
    note('MountIgnored', ['mounts', index], 'names a disk as a cloud does; a host here has none of that name, and nothing is mounted');
    return false;
  });
  const wanted = swapOf(file);
  const usual = usualOf(defaults ?? DEFAULTS)
    .map((mount) => ({ ...mount, device: named(mount.device) }))
    .filter(({ device }) => !CLOUD_DEVICE.test(device));
  if (known.length === 0 && usual.length === 0 && wanted === undefined) return [];
  return [
    scriptStep('mounts', mountsScript({ mounts: known, named: list.map(([device]) => named(device ?? 'None')), usual, swap: wanted })),
  ];
}

/** What cloud-init mounts where the document says nothing of a disk of that name, which is one by `device_aliases` alone. */
const usualOf = ([, , , options]: (string | null)[]): Mount[] => [
  { device: 'ephemeral0', point: '/mnt', type: 'auto', options: options ?? undefined, frequency: '0', pass: '2' },
  { device: 'swap', point: 'none', type: 'swap', options: 'sw', frequency: '0', pass: '0' },
];

const DEFAULTS = [null, null, 'auto', null, '0', '2'];

type Filled = Mount & { index: number };

/** Missing fields from the defaults. An entry without a mount point takes back those before it of the same device. */
function fill(entries: z.output<typeof entry>[], defaults: (string | null)[]): Filled[] {
  const kept: Filled[] = [];
  entries.forEach((fields, index) => {
    const value = (at: number): string | undefined => fields[at] ?? defaults[at] ?? undefined;
    const device = value(0) ?? 'None';
    const point = value(1);
    if (point === undefined) {
      for (let at = kept.length - 1; at >= 0; at--) if (kept[at]?.device === device) kept.splice(at, 1);
      return;
    }
    const [type = 'auto', options, frequency = '0', pass = '2'] = [value(2), value(3), value(4), value(5)];
    kept.push({ index, device, point, type, options, frequency, pass });
  });
  return kept;
}

function swapOf(value: z.output<typeof swap> | undefined): Swap | undefined {
  if (value === undefined || value === null || value.size === undefined || value.size === 0) return undefined;
  return { file: value.filename ?? '/swap.img', size: value.size, maxsize: value.maxsize ?? undefined };
}
