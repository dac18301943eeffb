/** Documents of other programs that are YAML maps as cloud-config is: told for what they are, in place of key by key. */
import type { Located } from './cloud-config/located.ts';
import { formatUnsupported } from './format.ts';

/** Keys that such a document has and no cloud-config may have, and what it is. */
const FOREIGN: [keys: string[], what: string][] = [
  [['variant', 'version'], 'a Butane document; let butane translate it, and give the Ignition document that it makes'],
  [['machine', 'version'], 'a configuration of Talos, whose hosts are not entered over SSH'],
  [['apiVersion', 'kind'], 'an object of Kubernetes; write it to a file with write_files, and let a command use it'],
  [['coreos'], 'a document of coreos-cloudinit, which Ignition replaced; write an Ignition document'],
];

/** @throws BootstrapDataError BootstrapFormatUnsupported */
export function refuseForeign({ children }: Located): void {
  const found = FOREIGN.find(([keys]) => keys.every((key) => children?.has(key) === true));
  if (found !== undefined) throw formatUnsupported(`the bootstrap data is ${found[1]}`);
}
