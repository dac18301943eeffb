import { quote } from '../../../ssh/quote.ts';
import type { Config } from '../config.ts';
import { type Content, contentOf } from './resource.ts';

export const NEEDS_CURL = 'command -v curl >/dev/null 2>&1 || fail "curl is not installed on this host, and something is to be fetched"';

/** As Ignition: 10 s for an answer to begin; how long it may go on is not limited unless the document says so. */
const DEFAULT_RESPONSE = 10;

/**
 * Fetches to a file beside the path, verifies it and only then adds it to the end of the file, so that owner and mode stay.
 * What curl is told stands on its standard input: an address or a header may be a secret.
 */
export function fetchScript(path: string, { url, gzip, hash, headers }: Content & { kind: 'remote' }, config: Config): string {
  const authorities = certificates(config);
  const parts = [
    'set -eu',
    'umask 077',
    `path=${quote(path)} fetched=no`,
    'part=$(mktemp "${path%/*}/.fetched.XXXXXX")',
    // A file of which nothing could be had must not be taken for an empty one.
    'trap \'rm -f "$part" "$part.gz" "$part.pem"; [ "$fetched" = yes ] || [ -s "$path" ] || rm -f "$path"\' EXIT',
    ...(authorities === '' ? [] : [CERTIFICATES, `printf '%s\\n' ${quote(authorities)} >>"$part.pem"`]),
    `fetch() { curl --config - --output "$part${gzip ? '.gz' : ''}"${authorities === '' ? '' : ' --cacert "$part.pem"'}; }`,
    ...(headers.length === 0 ? followed(url, config) : headed(url, headers, config)),
    ...(gzip ? ['gzip -dc "$part.gz" >"$part"'] : []),
    ...(hash === undefined
      ? []
      : [
          `sum=$(${hash.algorithm}sum "$part")`,
          `if [ "\${sum%% *}" != ${hash.sum} ]; then`,
          '  echo "what was fetched for $path has another hash than the document says" >&2',
          '  exit 1',
          'fi',
        ]),
    'cat "$part" >>"$path"',
    'fetched=yes',
  ];
  return `${parts.join('\n')}\n`;
}

const followed = (url: string, config: Config): string[] => [
  "fetch <<'END'",
  `url = ${value(url)}`,
  'location',
  ...options(url, config),
  'END',
];

/** As Ignition: the headers go to the address that the document names, and to none that it is redirected to. */
const headed = (url: string, headers: string[], config: Config): string[] => [
  "next=$(fetch <<'END'",
  `url = ${value(url)}`,
  ...headers.map((header) => `header = ${value(header)}`),
  'write-out = "%{redirect_url}"',
  ...options(url, config),
  'END',
  ')',
  'if [ -n "$next" ]; then',
  "  next=$(printf '%s' \"$next\" | sed 's/[\\\\\"]/\\\\&/g')",
  '  { printf \'url = "%s"\\nlocation\\n\' "$next"; cat; } <<\'END\' | fetch',
  ...options(url, config),
  'END',
  'fi',
];

const value = (text: string): string => `"${text.replaceAll(/[\\"]/g, '\\$&')}"`;

function options(url: string, { ignition: { timeouts = {}, proxy = {} } }: Config): string[] {
  const through = /^https:/i.test(url) ? proxy.httpsProxy : proxy.httpProxy;
  const response = timeouts.httpResponseHeaders ?? DEFAULT_RESPONSE;
  return [
    // Nothing of the host's own, and no list of addresses, wherever it is redirected to.
    'proto = "=http,https"',
    'proto-redir = "=http,https"',
    'globoff',
    'silent',
    'show-error',
    'fail',
    'retry = 5',
    'retry-connrefused',
    // An answer that does not begin is as slow as one that stands still.
    ...(response === 0 ? [] : [`connect-timeout = ${response}`, 'speed-limit = 1', `speed-time = ${response}`]),
    ...(timeouts.httpTotal === undefined || timeouts.httpTotal === 0
      ? []
      : [`max-time = ${timeouts.httpTotal}`, `retry-max-time = ${timeouts.httpTotal}`]),
    ...(through === undefined ? [] : [`proxy = ${value(through)}`]),
    ...((proxy.noProxy ?? []).length === 0 ? [] : [`noproxy = ${value((proxy.noProxy ?? []).join(','))}`]),
  ];
}

/** What the host trusts already, wherever its distribution has it. */
const CERTIFICATES = `for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  if [ -r "$bundle" ]; then cat "$bundle" >"$part.pem" && break; fi
done`;

function certificates({ ignition: { security } }: Config): string {
  const list = (security?.tls?.certificateAuthorities ?? []).map((one) => {
    const content = contentOf(one);
    return content.kind === 'bytes' ? Buffer.from(content.bytes).toString('utf8').trim() : '';
  });
  return list.join('\n');
}
