/** The certificate of a server: from a folder, as a Secret is mounted or cert-manager writes it, or one that is made at the start. */
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { selfSigned } from './self-signed.ts';
import { messageOf, type Logger } from './types.ts';

/** PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

/** Rejects with an Error that names the folder if there is no certificate with its key in it. */
export async function readCertificate(folder: string | undefined): Promise<Certificate> {
  if (folder === undefined) return selfSigned([hostname(), 'localhost']);
  try {
    const [cert, key] = await Promise.all(['tls.crt', 'tls.key'].map((name) => readFile(path.join(folder, name), 'utf8')));
    const certificate = { cert: cert ?? '', key: key ?? '' };
    createSecureContext(certificate); // throws where the two don't go together
    return certificate;
  } catch (cause) {
    throw new Error(`no certificate can be had from ${folder}: ${messageOf(cause)}`, { cause });
  }
}

/** Calls `renewed` with what is in the folder after each change, if it can be used. */
export function watchCertificate(folder: string, log: Logger, renewed: (certificate: Certificate) => void): FSWatcher {
  let reading = Promise.resolve();
  const read = async (): Promise<void> => {
    try {
      renewed(await readCertificate(folder));
    } catch (error) {
      // While its files are replaced one after the other they do not go together.
      log.warn('the certificate for diagnostics stays as it was', { error });
    }
  };
  const watcher = watch(folder, { persistent: false }, () => {
    reading = reading.then(read);
  });
  watcher.on('error', (error) => log.warn('the certificate for diagnostics is not watched any more', { error }));
  return watcher;
}
