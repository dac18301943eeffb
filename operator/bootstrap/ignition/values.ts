import { posix } from 'node:path';
import { z } from 'zod';
import { line } from '../cloud-config/values.ts';

export { line, text } from '../cloud-config/values.ts';

export const flag = z.boolean();
export const integer = z.number().int();
export const lines = z.array(line);

/** Absolute, and as short as it can be. */
export const path = line
  .refine((value) => value.startsWith('/'), 'is not an absolute path')
  .refine(
    (value) => !value.startsWith('/') || posix.join(value) === value.replace(/(?<=.)\/$/, '/.'),
    'is not as short as the path could be written',
  );

/** A key that asks for what a running host cannot do; one that asks for nothing is no harm. */
export const refused = (why: string) =>
  z.unknown().superRefine((value, context) => {
    if (isEmpty(value)) return;
    context.addIssue({ code: 'custom', message: `this key is not supported: ${why}`, params: { reason: 'BootstrapKeyUnsupported' } });
  });

const isEmpty = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.values(value).every(isEmpty);
