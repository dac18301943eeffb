import { z } from 'zod';
import { integer, line, lines } from '../values.ts';
import { resource } from './resource.ts';

/** About the document itself, and how what lies elsewhere is fetched. */
export const ignition = z.strictObject({
  version: z.string(),
  config: z.strictObject({ merge: z.array(resource).optional(), replace: resource.optional() }).optional(),
  timeouts: z.strictObject({ httpResponseHeaders: integer.min(0).optional(), httpTotal: integer.min(0).optional() }).optional(),
  security: z.strictObject({ tls: z.strictObject({ certificateAuthorities: z.array(resource).optional() }).optional() }).optional(),
  proxy: z
    .strictObject({
      httpProxy: line.regex(/^https?:\/\/[^\s"\\]+$/, 'is not a URL of http or https').optional(),
      httpsProxy: line.regex(/^https?:\/\/[^\s"\\]+$/, 'is not a URL of http or https').optional(),
      noProxy: lines.optional(),
    })
    .optional(),
});
