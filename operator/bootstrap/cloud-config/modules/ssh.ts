import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag } from '../values.ts';
import { authorizedKeys, publicKeys } from './authorized_keys.ts';

const not = (message: string) => flag.refine((value) => !value, message);

/**
 * Keys that may log in as root (cloud-init gives them to the image's default user, too, which a host here does not have). What
 * would change the host's own keys or lock root out is refused: the operator knows the host by the one and enters as the other.
 */
export const ssh = defineModule({
  keys: {
    ssh_authorized_keys: publicKeys,
    ssh_deletekeys: not('the host keys stay as they are, since the operator knows the host by them; leave it out, or set it to false'),
    disable_root: not('root may be what the operator enters as; leave it out, or set it to false'),
    ssh: z.strictObject({ emit_keys_to_console: flag.optional() }).nullable(),
  },
  plan({ ssh_authorized_keys: keys = [] }) {
    if (keys.length === 0) return [];
    return [scriptStep('ssh_authorized_keys', `set -eu\nuser=${quote('root')}\n${authorizedKeys('root', keys)}\n`)];
  },
});
