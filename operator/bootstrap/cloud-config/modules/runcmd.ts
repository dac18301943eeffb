import { defineModule } from '../module.ts';
import { command, listOf } from '../values.ts';

/**
 * cloud-init writes all entries into one script that goes on after a failure. Here they share one shell too, and the first that
 * fails ends the run: documents whose last line writes the sentinel in any case would otherwise be called successful.
 */
export const runcmd = defineModule({
  keys: { runcmd: listOf(command) },
  plan: ({ runcmd: commands = [] }) =>
    commands.flatMap((script, index) => (script === undefined ? [] : [{ kind: 'command', name: `runcmd[${index}]`, script }])),
});
