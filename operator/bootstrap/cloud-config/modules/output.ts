import { z } from 'zod';
import { defineModule } from '../module.ts';
import { line } from '../values.ts';

const target = z.union([line, z.array(line).max(2, 'has more than standard output and standard error'), z.null()], {
  error: 'expected where the output goes, or a list of that and of where errors go',
});
const stage = z.union([target, z.strictObject({ output: line.nullable().optional(), error: line.nullable().optional() })]);

/** Where cloud-init's output goes. Here the runner keeps the output of a run, and takes it off the host after a success. */
export const output = defineModule({
  keys: {
    output: z.strictObject({ all: stage.optional(), init: stage.optional(), config: stage.optional(), final: stage.optional() }).nullable(),
  },
  plan(_, { note }) {
    note(
      'KeyWithoutEffect',
      ['output'],
      'not carried out: the output of a run may hold secrets; the runner keeps it, and takes it off the host after a success',
    );
    return [];
  },
});
