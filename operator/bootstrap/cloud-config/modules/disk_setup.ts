import { z } from 'zod';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { Float } from '../scalars.ts';
import { argument, entriesByName, flag, line, listOf, text } from '../values.ts';
import { fileSystemScript, partitionScript } from './disk_scripts.ts';
import { mountKeys, planMounts } from './mounts.ts';

const device = line.refine((value) => /^[A-Za-z0-9/][A-Za-z0-9/._:+-]*$/.test(value), 'is not the name of a device');

const percent = z
  .union(
    [
      z.number(),
      z.instanceof(Float).transform(({ value }) => value),
      z
        .string()
        .regex(/^\d+(?:\.\d+)?$/)
        .transform(Number),
    ],
    {
      error: 'expected a share of the disk in percent',
    },
  )
  .refine((value) => value > 0 && value <= 100, 'is no share of the disk in percent');
const partitionType = z
  .union([z.number().int(), z.string()])
  .transform(String)
  .refine((value) => /^[A-Za-z0-9-]{1,40}$/.test(value), 'is not the type of a partition');
const partition = z
  .union([percent.transform((size) => ({ size })), z.tuple([percent, partitionType]).transform(([size, type]) => ({ size, type }))])
  .transform((value): { size: number; type?: string } => value);

const layout = z.union([z.boolean(), z.literal('remove'), z.array(partition).min(1, 'is empty')], {
  error: 'expected true, false, remove, or a list of percentages',
});

const disk = z
  .strictObject({ table_type: z.enum(['mbr', 'gpt']).optional(), layout: layout.optional(), overwrite: flag.optional() })
  .refine(({ table_type: table = 'mbr', layout: parts }) => table === 'gpt' || !Array.isArray(parts) || parts.length <= 4, {
    message: 'has more than the four partitions that an mbr table holds',
    path: ['layout'],
  });

const fileSystem = z
  .strictObject({
    device,
    partition: z
      .union([z.number().int().positive().transform(String), z.string()])
      .refine((value) => /^(?:\d+|auto|any|none)$/i.test(value), 'is not the number of a partition, auto, any or none')
      .optional(),
    filesystem: z
      .string()
      .regex(/^[a-z][a-z0-9]*$/, 'is not the name of a file system')
      .optional(),
    label: z
      .union([line, z.null()])
      .refine((value) => value === null || !/[%"'\\]/.test(value), 'holds a character that a label cannot')
      .optional(),
    overwrite: flag.optional(),
    replace_fs: z.union([line, z.literal(false), z.null()]).optional(),
    extra_opts: z.union([listOf(argument), line.transform((value) => value.split(/\s+/).filter((word) => word !== ''))]).optional(),
    cmd: z.union([text, z.array(argument)]).optional(),
  })
  .refine(({ filesystem, cmd }) => filesystem !== undefined || cmd !== undefined, { message: 'is missing', path: ['filesystem'] });

export type Disk = z.output<typeof disk>;
export type FileSystem = z.output<typeof fileSystem>;

/**
 * Partitions, file systems and mounts, which share the names of devices. What a disk holds already stays, unless `overwrite` says
 * otherwise; what is in use stays whatever it says.
 */
export const disks = defineModule({
  keys: {
    device_aliases: z.record(z.string(), device).nullable(),
    disk_setup: z.record(z.string(), disk).nullable(),
    fs_setup: listOf(fileSystem),
    ...mountKeys,
  },
  plan({ device_aliases: aliases, disk_setup: tables, fs_setup: systems = [], ...mounts }, context) {
    const named = (name: string) => aliases?.[name] ?? name;
    const partitioned = entriesByName(tables).flatMap(([name, wanted]): Step[] =>
      wanted.layout === undefined || wanted.layout === false
        ? []
        : [
            scriptStep(
              `disk_setup ${name}`,
              partitionScript(named(name), wanted.table_type ?? 'mbr', wanted.layout, wanted.overwrite ?? false),
            ),
          ],
    );
    const formatted = systems.map((wanted, index) => {
      const [name, part] = dotted(wanted.device);
      const target = { ...wanted, device: named(name), partition: part ?? wanted.partition ?? 'any' };
      return scriptStep(`fs_setup[${index}] ${wanted.device}`, fileSystemScript(target));
    });
    const mounted = planMounts(mounts, context, (device) => {
      const [name, part] = dotted(device);
      return part === undefined ? named(name) : `${named(name)}.${part}`;
    });
    return [...partitioned, ...formatted, ...mounted];
  },
});

/** `sdb.1` is the first partition of sdb. */
function dotted(device: string): [name: string, partition: string | undefined] {
  const [, name = device, part] = /^(.*)\.(\d+)$/.exec(device) ?? [];
  return [name, part];
}
