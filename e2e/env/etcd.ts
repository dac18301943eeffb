/** etcd's own API, by its JSON gateway (etcd.io/docs/v3.6/dev-guide/api_grpc_gateway). */
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import type { ControlPlane } from './control-plane.ts';

/** Forgets everything before the present revision, as the API server itself does every five minutes. */
export async function compactEtcd(plane: ControlPlane): Promise<void> {
  const { header } = await call<{ header: { revision: string } }>(plane, '/v3/kv/range', { key: Buffer.from('\0').toString('base64') });
  await call(plane, '/v3/kv/compaction', { revision: header.revision, physical: true });
}

async function call<T>({ folder, ca, etcdURL }: ControlPlane, path: string, body: object): Promise<T> {
  const [cert, key] = await Promise.all(['admin.crt', 'admin.key'].map((name) => readFile(join(folder, name))));
  return new Promise((resolve, reject) => {
    const asked = request(`${etcdURL}${path}`, { method: 'POST', ca, cert, key }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`etcd answers ${answer.statusCode} to ${path}: ${text.slice(0, 300)}`));
      });
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}
