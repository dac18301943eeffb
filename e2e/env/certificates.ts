/** A certificate authority for one control plane, by the openssl command. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from './command.ts';

export interface KeyPair {
  /** Paths of PEM files. */
  certificate: string;
  key: string;
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Files of the authority in `folder`. */
export const authority = (folder: string): KeyPair => ({ certificate: join(folder, 'ca.crt'), key: join(folder, 'ca.key') });

export async function createAuthority(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { certificate, key } = authority(folder);
  const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  await must('openssl', ['req', '-x509', ...newKey, '-days', '30', '-subj', '/CN=e2e-ca', ...usage, '-keyout', key, '-out', certificate]);
}

/** A private key that signs ServiceAccount tokens. */
export async function createSigningKey(path: string): Promise<void> {
  await must('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path]);
}

/**
 * Issues a certificate in <folder>/<name>.crt and .key.
 * @param subject of the certificate; `organizations` are groups to the API server.
 * @param names that a server's certificate is for, as `IP:127.0.0.1` or `DNS:localhost`; none for a client.
 */
export async function issue(
  folder: string,
  name: string,
  subject: { commonName: string; organizations?: string[] },
  names: string[] = [],
): Promise<KeyPair> {
  const [certificate, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map((type) => join(folder, `${name}.${type}`)) as [
    string,
    string,
    string,
    string,
  ];
  const parts = [...(subject.organizations ?? []).map((group) => `O=${group}`), `CN=${subject.commonName}`];
  const subjectLine = parts.map((part) => `/${part.replaceAll(/[\\/]/g, '\\$&')}`).join('');
  await writeFile(
    extensions,
    names.length > 0 ? `extendedKeyUsage=serverAuth\nsubjectAltName=${names.join(',')}\n` : 'extendedKeyUsage=clientAuth\n',
  );
  await must('openssl', ['req', '-new', ...newKey, '-subj', subjectLine, '-keyout', key, '-out', request]);
  const ca = authority(folder);
  const signing = ['-CA', ca.certificate, '-CAkey', ca.key, '-days', '30', '-extfile', extensions, '-set_serial', `0x${serial()}`];
  await must('openssl', ['x509', '-req', '-in', request, ...signing, '-out', certificate]);
  return { certificate, key };
}

const serial = (): string => crypto.randomUUID().replaceAll('-', '').slice(0, 16);

/** A kubeconfig with everything in it, so that it works wherever it is copied to. */
export async function kubeconfig(url: string, caFile: string, client: KeyPair): Promise<string> {
  const base64 = (path: string) => readFile(path, 'base64');
  return JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'e2e', cluster: { server: url, 'certificate-authority-data': await base64(caFile) } }],
      users: [
        { name: 'e2e', user: { 'client-certificate-data': await base64(client.certificate), 'client-key-data': await base64(client.key) } },
      ],
      contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
      'current-context': 'e2e',
    },
    null,
    1,
  );
}
