import { z } from 'zod';
import { scriptStep } from '../../cloud-config/module.ts';
import { quote } from '../../../ssh/quote.ts';
import { flag, integer, line, path } from '../values.ts';
import { diskScript } from './disk_scripts.ts';
import type { Section } from './section.ts';

export const guid = z.string().regex(/^(?:|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$/, 'is not a GUID');
export const label = line
  .max(36, 'has more than 36 characters')
  .refine((value) => !value.includes(':'), 'holds a colon, which sgdisk does not take');

const partition = z
  .strictObject({
    number: integer.min(0).optional(),
    label: label.optional(),
    sizeMiB: integer.min(0).optional(),
    startMiB: integer.min(0).optional(),
    typeGuid: guid.optional(),
    guid: guid.optional(),
    wipePartitionEntry: flag.optional(),
    shouldExist: flag.optional(),
    resize: flag.optional(),
  })
  .refine(
    (one) =>
      one.shouldExist !== false ||
      (one.label === undefined &&
        (one.typeGuid ?? '') === '' &&
        (one.guid ?? '') === '' &&
        one.startMiB === undefined &&
        one.sizeMiB === undefined),
    { message: 'is false, and yet it is said what the partition is like', path: ['shouldExist'] },
  );

const disk = z.strictObject({ device: path, wipeTable: flag.optional(), partitions: z.array(partition).optional() });
export const disks = z.array(disk);
export type Disk = z.output<typeof disk>;
export type Partition = z.output<typeof partition>;

export const partitions: Section = {
  plan: ({ ignition: { version }, storage = {} }, { name, problem }) =>
    (storage.disks ?? []).map((one) => {
      for (const { of, message } of wrong(one, version)) problem(of, [], message);
      return scriptStep(name(one, one.device), diskScript(one));
    }),
  checks: ({ storage = {} }) =>
    (storage.disks ?? []).length === 0
      ? []
      : [
          "needs sgdisk 'install gdisk'",
          ...(storage.disks ?? []).map(({ device }) => `[ -b ${quote(device)} ] || fail ${quote(`this host has no disk ${device}`)}`),
        ],
};

/** Partitions that exclude each other. */
function wrong({ partitions: list = [] }: Disk, version: string): { of: object; message: string }[] {
  const found: { of: object; message: string }[] = [];
  list.forEach((one, index) => {
    const others = list.filter((_, at) => at !== index);
    const before = list.slice(0, index);
    const number = one.number ?? 0;
    const twice = (key: 'number' | 'label') =>
      before.some((other) => other[key] !== undefined && other[key] !== 0 && other[key] === one[key]);
    if (twice('number')) found.push({ of: one, message: 'another partition has the same number' });
    if (twice('label')) found.push({ of: one, message: 'another partition has the same label' });
    if (number === 0 && one.label === undefined && !version.startsWith('2.'))
      found.push({ of: one, message: 'has neither a number nor a label' });
    if (number === 0 && list.some(({ shouldExist }) => shouldExist === false)) {
      found.push({ of: one, message: 'has no number, and another partition should not exist' });
    }
    if (before.some((other) => overlap(one, other)) && others.length > 0) found.push({ of: one, message: 'lies over another partition' });
  });
  return found;
}

function overlap(a: Partition, b: Partition): boolean {
  const span = ({ startMiB: start, sizeMiB: size }: Partition) =>
    start === undefined || size === undefined || start === 0 ? undefined : { start, end: size === 0 ? start : start + size - 1 };
  const [one, other] = [span(a), span(b)];
  return one !== undefined && other !== undefined && one.start <= other.end && other.start <= one.end;
}
