import { quote } from '../../../ssh/quote.ts';
import { defineModule, scriptStep } from '../module.ts';
import { text } from '../values.ts';

/** The last words of a run. */
export const finalMessage = defineModule({
  keys: { final_message: text.nullable() },
  plan({ final_message: message }) {
    const words = message?.trim() ?? '';
    return words === '' ? [] : [scriptStep('final_message', messageScript(words))];
  },
});

/** What cloud-init knows by these names; the version and the source of the data are this operator. */
const VALUES: Record<string, string> = { uptime: '"$uptime"', timestamp: '"$(date -R)"', version: 'remote', datasource: 'remote' };

function messageScript(words: string): string {
  const pieces = words.replace(/^##\s*template:\s*jinja\s*\n/i, '').split(/(\{\{\s*\w+\s*\}\}|\$\{?\w+\}?)/);
  // Every other piece is what the expression matched.
  const arguments_ = pieces.flatMap((piece, index) => {
    const known = index % 2 === 1 ? VALUES[/\w+/.exec(piece)?.[0].toLowerCase() ?? ''] : undefined;
    return piece === '' ? [] : [known ?? quote(piece)];
  });
  return `set -eu\nuptime=$(cut -d ' ' -f 1 </proc/uptime)\nexport uptime\nprintf %s ${arguments_.join(' ')}\necho\n`;
}
