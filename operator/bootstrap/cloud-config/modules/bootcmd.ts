import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule } from '../module.ts';
import { command, listOf } from '../values.ts';

/** Its own shell, as cloud-init runs it as a script of its own, with the variable INSTANCE_ID. */
const SHELL = 'bootcmd';

/** Commands before anything else; in cloud-init at every boot, here once, with the run. */
export const bootcmd = defineModule({
  keys: { bootcmd: listOf(command) },
  plan({ bootcmd: commands = [] }, { instance, note }) {
    const steps = commands.flatMap<Step>((script, index) =>
      script === undefined ? [] : [{ kind: 'command', name: `bootcmd[${index}]`, script, shell: SHELL }],
    );
    if (steps.length === 0) return [];
    note('RunsOnceOnly', ['bootcmd'], 'cloud-init runs these commands at every boot; here they run once, before everything else');
    const environment = `INSTANCE_ID=${quote(instance.instanceID)}; export INSTANCE_ID`;
    return [{ kind: 'command', name: 'bootcmd environment', script: environment, shell: SHELL }, ...steps];
  },
});
