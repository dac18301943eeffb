import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { argument, commandLine, text } from '../values.ts';

/** A list of commands, or a map of which the keys give the order. */
const inOrder = <Item extends z.ZodType>(item: Item) =>
  z
    .union([z.array(item), z.record(z.string(), item), z.null()], { error: 'expected a list or a map of strings' })
    .transform((value): { place: string; value: z.output<Item> }[] => {
      if (Array.isArray(value)) return value.map((one, index) => ({ place: `[${index}]`, value: one }));
      const sorted = Object.entries(value ?? {}).sort(([a], [b]) => compare(a, b));
      return sorted.map(([key, one]) => ({ place: `.${key}`, value: one }));
    });

const compare = (a: string, b: string) => ([a, b].every((key) => /^\d+$/.test(key)) ? Number(a) - Number(b) : a < b ? -1 : 1);

/** A string is a command line of the shell; a list is one of snap, whose name may be left out, unless null stands in its place. */
const command = z
  .union([text, z.tuple([z.null()], argument), z.array(argument)], { error: 'expected a command or a list of its words' })
  .transform((value) => {
    if (typeof value === 'string') return value;
    const [first, ...rest] = value;
    if (first === null) return commandLine(rest as string[]);
    return commandLine(first === 'snap' ? (value as string[]) : ['snap', ...(value as string[])]);
  });

const settings = z.strictObject({ assertions: inOrder(text).optional(), commands: inOrder(command).optional() }).nullable();

/** Assertions, then commands of snap; each is a process of its own. */
export const snap = defineModule({
  keys: { snap: settings },
  plan({ snap: value }) {
    const assertions = value?.assertions ?? [];
    const steps: Step[] = [];
    if (assertions.length > 0) steps.push(scriptStep('snap.assertions', acknowledge(assertions.map((one) => one.value))));
    const commands = (value?.commands ?? []).map(({ place, value: script }) => scriptStep(`snap.commands${place}`, `${script}\n`));
    return [...steps, ...commands];
  },
});

const acknowledge = (assertions: string[]) => `set -eu
file=$(mktemp)
printf %s ${quote(assertions.join('\n'))} >"$file"
code=0
snap ack "$file" || code=$?
rm -f "$file"
exit "$code"
`;
