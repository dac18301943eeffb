/** What runs in worker threads: reading what people wrote, which may take long or much. See reading.ts for who calls it. */
import { BootstrapDataError, type BootstrapData, HostUnknown, type InstanceData, type Plan } from './bootstrap/plan.ts';
import { planBootstrap } from './bootstrap/planner.ts';
import { serve } from './framework/thread.ts';
import { parsePrivateKey } from './ssh/private-key.ts';
import { SSHError, type SSHErrorReason } from './ssh/types.ts';

/** Errors lose their class on their way out of a thread. */
export type Refusal<Reason> = { reason: Reason; message: string };

export const FUNCTIONS = {
  plan(
    data: BootstrapData,
    instance: InstanceData,
  ): Plan | 'host unknown' | { refused: Refusal<BootstrapDataError['reason']> & Pick<BootstrapDataError, 'findings'> } {
    try {
      return planBootstrap(data, instance);
    } catch (error) {
      if (error instanceof HostUnknown) return 'host unknown';
      if (!(error instanceof BootstrapDataError)) throw error;
      const { reason, message, findings } = error;
      return { refused: { reason, message, findings } };
    }
  },

  /** The key without its passphrase, in PEM form. */
  decrypt(text: string, passphrase: string, hop: string): string | { refused: Refusal<SSHErrorReason> } {
    try {
      return parsePrivateKey(text, passphrase, hop).getPrivatePEM();
    } catch (error) {
      if (!(error instanceof SSHError)) throw error;
      const { reason, message } = error;
      return { refused: { reason, message } };
    }
  },
};

serve(FUNCTIONS);
