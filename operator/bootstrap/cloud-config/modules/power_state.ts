import { z } from 'zod';
import type { PowerStep } from '../../plan.ts';
import { defineModule } from '../module.ts';
import { argument, commandLine, line, text } from '../values.ts';

const MINUTES = 24 * 60;

const delay = z
  .union([z.number(), z.string(), z.null()], { error: 'expected now, or a number of minutes' })
  .transform((value) => (value === null || value === 'now' ? 0 : Number(String(value).replace(/^\+/, ''))))
  .refine((value) => Number.isInteger(value) && value >= 0 && value <= MINUTES, 'is not now, nor a number of minutes of a day');

const condition = z
  .union([z.boolean(), text, z.array(argument).min(1, 'is empty'), z.null()], { error: 'expected true, false, or a command' })
  .transform((value) => (Array.isArray(value) ? commandLine(value) : value));

const settings = z
  .strictObject({
    mode: z.enum(['reboot', 'poweroff', 'halt'], { error: 'expected reboot, poweroff or halt' }),
    delay: delay.optional(),
    message: line.nullable().optional(),
    // How long cloud-init waits for its own end.
    timeout: z.union([z.number(), z.string().regex(/^\d+(?:\.\d+)?$/, 'is not a number of seconds'), z.null()]).optional(),
    condition: condition.optional(),
  })
  .nullable();

/** A reboot at the very end: after the commands, and once their outcome is on the host's disk. */
export const powerState = defineModule({
  keys: { power_state: settings },
  plan({ power_state: value }, { note }) {
    if (value === undefined || value === null || value.condition === false) return [];
    const { mode, message, condition: asked } = value;
    if (mode !== 'reboot') {
      note(
        'StaysOff',
        ['power_state', 'mode'],
        'the host goes off after the run; its machine is ready once somebody has switched it on again',
      );
    }
    const step: PowerStep = { kind: 'power', name: 'power_state', mode, delay: value.delay ?? 0 };
    if (typeof message === 'string' && message !== '') step.message = message;
    if (typeof asked === 'string') step.condition = `${asked}\n`;
    return [step];
  },
});
