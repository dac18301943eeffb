import { z } from 'zod';
import { defineModule } from '../module.ts';

const RUNNING = 'a partition of a running system is not resized; leave the key out, turn it off, or do it before the host is entered';
const off = z.union([z.literal('off'), z.literal('false'), z.literal(false)], { error: RUNNING });

/** Only to say that nothing is to grow, which cloud-init's own configuration asks for on most images. */
export const growing = defineModule({
  keys: {
    growpart: z.union([off, z.object({ mode: off })], { error: RUNNING }).nullable(),
    // Anything else than these words asks for it: true, and noblock, which does it in the background.
    resize_rootfs: z.union([off, z.literal('no')], { error: RUNNING }).nullable(),
  },
  plan: () => [],
});
