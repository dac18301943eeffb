/** Bootstrap data and encrypted keys are read in threads of their own, so that neither holds up the event loop. */
import { BootstrapDataError, HostUnknown, type Planner } from './bootstrap/plan.ts';
import { LimitExceeded, Thread } from './framework/thread.ts';
import type { Decrypt } from './ssh/key-ring.ts';
import { SSHError } from './ssh/types.ts';
import type { FUNCTIONS } from './worker.ts';

type Reader = Thread<typeof FUNCTIONS>;

/** Beside this file, in the sources and in the bundle. */
const FILE = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);

/** Documents take some milliseconds. */
export const startPlanning = (): Reader => new Thread(FILE, { cpu: 2_000, wall: 60_000, megabytes: 200 });
/** `ssh-keygen -a 100` asks for two seconds, and there are slower machines. */
export const startDecrypting = (): Reader => new Thread(FILE, { cpu: 10_000, wall: 120_000, megabytes: 200 });

export const plannerIn =
  (thread: Reader): Planner =>
  async (data, instance) => {
    try {
      const planned = await thread.call('plan', data, instance);
      if (planned === 'host unknown') throw new HostUnknown();
      if (!('refused' in planned)) return planned;
      const { reason, message, findings } = planned.refused;
      throw new BootstrapDataError(reason, message, findings);
    } catch (cause) {
      if (!(cause instanceof LimitExceeded)) throw cause;
      throw new BootstrapDataError('BootstrapDataInvalid', `the bootstrap data cannot be read: ${cause.message}`, [], cause);
    }
  };

export const decryptIn =
  (thread: Reader): Decrypt =>
  async (text, passphrase, hop) => {
    try {
      const decrypted = await thread.call('decrypt', text, passphrase, hop);
      if (typeof decrypted === 'string') return decrypted;
      throw new SSHError(decrypted.refused.reason, hop, decrypted.refused.message);
    } catch (cause) {
      if (!(cause instanceof LimitExceeded)) throw cause;
      const what = `The private key cannot be decrypted, since ${cause.message}: write it anew with ssh-keygen -p -a 16.`;
      throw new SSHError('InvalidPrivateKey', hop, what, { cause });
    }
  };
