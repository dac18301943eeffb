import { createHmac } from 'node:crypto';
import { SocketAddress, isIPv6 } from 'node:net';

/** A line of a known_hosts text that speaks of the host. */
export interface KnownHostsLine {
  marker: 'revoked' | 'cert-authority' | undefined;
  /** `<type> <base64>` and whatever comment follows. */
  key: string;
}

/** The names of a server, as `ssh` looks them up. */
export interface Named {
  address: string;
  port: number;
}

/**
 * The lines of a known_hosts text that match the server, by sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: names, patterns with `*`, `?`
 * and `!`, `[host]:port`, hashed names, `@revoked`, `@cert-authority`. As in OpenSSH, a server on another port than 22 is also
 * found under its plain name where no line has its port.
 */
export function knownHostsLines(text: string, { address, port }: Named): KnownHostsLine[] {
  const plain = namesOf(address);
  const lines = text.split(/\r?\n/).map(parseLine);
  const matching = (names: string[]): KnownHostsLine[] =>
    lines.flatMap((line) => (line && names.some((name) => matchesHosts(line.hosts, name)) ? [{ marker: line.marker, key: line.key }] : []));
  if (port === 22) return matching(plain);
  const withPort = matching(plain.map((name) => `[${name}]:${port}`));
  return withPort.length > 0 ? withPort : matching(plain);
}

/** OpenSSH looks names up in lower case; an IPv6 address has several spellings, of which ssh-keyscan writes the canonical. */
function namesOf(address: string): string[] {
  const given = address.toLowerCase();
  return isIPv6(given) ? [...new Set([given, new SocketAddress({ address: given, family: 'ipv6' }).address])] : [given];
}

function parseLine(line: string): (KnownHostsLine & { hosts: string }) | undefined {
  const match = /^\s*(?:@(\S+)\s+)?([^\s#@]\S*)\s+(\S+\s+\S.*)$/.exec(line);
  if (!match) return undefined;
  const [, marker, hosts = '', key = ''] = match;
  if (marker !== undefined && marker !== 'revoked' && marker !== 'cert-authority') return undefined;
  return { marker, hosts, key };
}

function matchesHosts(hosts: string, name: string): boolean {
  if (hosts.startsWith('|')) return matchesHash(hosts, name);
  let matched = false;
  for (const pattern of hosts.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!matchesPattern(negated ? pattern.slice(1) : pattern, name)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

/** `|1|<base64 salt>|<base64 HMAC-SHA1 of the name>`, as `ssh-keygen -H` writes it. */
function matchesHash(hashed: string, name: string): boolean {
  const [, version, salt, hash] = hashed.split('|');
  if (version !== '1' || !salt || !hash) return false;
  return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest().equals(Buffer.from(hash, 'base64'));
}

/** Globs with `*` and `?` only, in time proportional to both lengths (a regular expression could be made to hang). */
export function matchesPattern(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let starAt = 0;
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p++;
      starAt = n;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++starAt;
    } else return false;
  }
  while (pattern[p] === '*') p++;
  return p === pattern.length;
}
