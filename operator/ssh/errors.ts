import type { HostKey, SSHErrorReason } from './types.ts';
import { SSHError } from './types.ts';
import type { Expectation, HostKeyVerdict } from './host-keys.ts';

/** The part of a Hop that messages may show. */
export interface Place {
  address: string;
  port: number;
  user: string;
}

/** How far a connection attempt has come, for the message when it fails. */
export type Phase = 'connect' | 'banner' | 'key exchange' | 'authentication' | 'ready';

/** What is known of an attempt besides the error itself. */
export interface Progress {
  phase: Phase;
  /** The first bytes that the server sent, to tell what speaks there if not SSH. */
  heard: string;
  /** Authentication methods that the server would accept after refusing the key. */
  methods: string[];
  /** The server took the key and wants another method too. */
  partialSuccess: boolean;
  /** Fingerprint of the public half of the client's key. */
  key: string;
}

/** `address:port`, IPv6 in brackets. */
export function hopName({ address, port }: Pick<Place, 'address' | 'port'>): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function problem(reason: SSHErrorReason, place: Place, message: string, cause?: unknown): SSHError {
  return new SSHError(reason, hopName(place), message, cause === undefined ? {} : { cause });
}

/** Node's and libuv's error codes. */
const SOCKET_CODES: Record<string, SSHErrorReason> = {
  ECONNREFUSED: 'ConnectionRefused',
  EHOSTUNREACH: 'HostUnreachable',
  EHOSTDOWN: 'HostUnreachable',
  ENETUNREACH: 'HostUnreachable',
  ENETDOWN: 'HostUnreachable',
  EADDRNOTAVAIL: 'HostUnreachable',
  EACCES: 'HostUnreachable',
  EPERM: 'HostUnreachable',
  EINVAL: 'HostUnreachable',
  ETIMEDOUT: 'ConnectTimeout',
  ENOTFOUND: 'AddressNotFound',
  EAI_AGAIN: 'AddressNotFound',
  EAI_FAIL: 'AddressNotFound',
  EAI_NODATA: 'AddressNotFound',
  EAI_NONAME: 'AddressNotFound',
};

/** An error of the TCP connection itself, or of the forwarding through `via`. */
export function connectError(error: unknown, place: Place, via?: Place): SSHError {
  // Linux may report a reset right after the handshake of TCP as the outcome of connect().
  if (codeOf(error) === 'ECONNRESET') return lostError(place, error, 'before SSH began');
  const reason = SOCKET_CODES[codeOf(error)] ?? 'HostUnreachable';
  return problem(reason, place, connectMessage(reason, place, via, error), error);
}

function connectMessage(reason: SSHErrorReason, place: Place, via: Place | undefined, error: unknown): string {
  const name = hopName(place);
  const from = via ? ` from the bastion ${hopName(via)}` : '';
  switch (reason) {
    case 'ConnectionRefused':
      return `Connection to ${name}${from} refused: check that the SSH server runs there and listens on port ${place.port}.`;
    case 'AddressNotFound':
      return `The name ${place.address} cannot be resolved${from}${codeOf(error) === 'EAI_AGAIN' ? ' at the moment' : ''}: check the name and DNS.`;
    case 'ConnectTimeout':
      return `No answer from ${name}${from}: check that the host is up and that no firewall drops the packets.`;
    default:
      return `${name} cannot be reached${from} (${textOf(error)}): check the address, the routes and the firewalls.`;
  }
}

/** A bastion did not open the way to `next`. */
export function forwardError(error: unknown, bastion: Place, next: Place): SSHError {
  const { reason } = error as { reason?: unknown };
  const text = textOf(error);
  // RFC 4254, section 5.1: 2 is SSH_OPEN_CONNECT_FAILED, where sshd describes the error in its own words.
  if (reason === 2) {
    const code = FORWARD_TEXTS.find(([pattern]) => pattern.test(text))?.[1] ?? 'EHOSTUNREACH';
    return connectError(Object.assign(new Error(text, { cause: error }), { code }), next, bastion);
  }
  if (reason === undefined) return lostError(bastion, error);
  return problem(
    'ForwardingRefused',
    bastion,
    `The bastion ${bastion.user}@${hopName(bastion)} refuses to forward to ${hopName(next)} (${text}): allow it with AllowTcpForwarding and PermitOpen in its sshd_config.`,
    error,
  );
}

const FORWARD_TEXTS: [RegExp, string][] = [
  [/refused/i, 'ECONNREFUSED'],
  [/timed? ?out/i, 'ETIMEDOUT'],
  [/not known|resolve|no address|name resolution/i, 'ENOTFOUND'],
];

/** The hop's time is over. */
export function timeoutError(place: Place, { phase, heard }: Progress, timeout: number): SSHError {
  const name = hopName(place);
  if (phase === 'banner' && heard !== '') return notSSHError(place, heard);
  const seconds = `${timeout / 1000} s`;
  switch (phase) {
    case 'connect':
      return problem(
        'ConnectTimeout',
        place,
        `No connection to ${name} within ${seconds}: check that the host is up and that no firewall drops the packets.`,
      );
    case 'banner':
      return problem(
        'ConnectTimeout',
        place,
        `${name} accepts connections but said nothing within ${seconds}: check that an SSH server, and not another service, answers there.`,
      );
    default:
      return problem(
        'ConnectTimeout',
        place,
        `The ${phase} with ${place.user}@${name} did not end within ${seconds}: the host may be overloaded.`,
      );
  }
}

/** An error between the TCP connection and `ready`. */
export function handshakeError(error: unknown, place: Place, progress: Progress): SSHError {
  const { level, code } = error as { level?: unknown; code?: unknown };
  if (level === 'client-authentication') return authenticationError(error, place, progress);
  if (progress.phase === 'authentication') {
    // A number is the reason of the server's DISCONNECT message: too many failures, no more methods.
    if (typeof code === 'number') return authenticationError(error, place, progress);
    return lostError(place, error, 'during the authentication');
  }
  // What ssh2's parser throws has no level; a mere close is told by node-ssh in the words below.
  const isClose = level === 'client-socket' || textOf(error) === CLOSED;
  if (!isClose || isNotSSH(progress.heard)) return earlyError(error, place, progress);
  return lostError(place, error, progress.heard === '' ? 'before SSH began' : `during the ${progress.phase}`);
}

/** What node-ssh and ssh2 say of any close. */
const CLOSED = 'No response from server';

function earlyError(error: unknown, place: Place, { heard }: Progress): SSHError {
  const name = hopName(place);
  // sshd says so in plain text where others expect its banner.
  if (/^(Exceeded MaxStartups|Not allowed at this time)/.test(heard)) {
    return problem(
      'ConnectionLost',
      place,
      `${name} takes no more connections at the moment (it says "${quoted(heard)}"): see MaxStartups in its sshd_config.`,
      error,
    );
  }
  if (isNotSSH(heard)) return notSSHError(place, heard, error);
  if (heard === '') {
    return problem(
      'ConnectionLost',
      place,
      `${name} closed the connection before SSH began: it may be overloaded (MaxStartups) or ban this address (hosts.deny, fail2ban).`,
      error,
    );
  }
  const kind = /no matching (.+)$/.exec(textOf(error))?.[1];
  if (kind !== undefined) {
    return problem(
      'HandshakeFailed',
      place,
      `${name} (${quoted(heard)}) shares no ${kind} with this client: update its SSH server, or allow legacy algorithms.`,
      error,
    );
  }
  return problem('HandshakeFailed', place, `The key exchange with ${name} (${quoted(heard)}) failed: ${textOf(error)}.`, error);
}

function notSSHError(place: Place, heard: string, cause?: unknown): SSHError {
  return problem('HandshakeFailed', place, `${hopName(place)} does not speak SSH (it says "${quoted(heard)}"): check the port.`, cause);
}

/** Whether a server's first words are known not to be SSH's. A banner may have other lines before it (RFC 4253, section 4.2). */
export function isNotSSH(heard: string): boolean {
  return heard !== '' && !/^SSH-/m.test(heard);
}

function authenticationError(error: unknown, place: Place, { methods, partialSuccess, key }: Progress): SSHError {
  const who = `${place.user}@${hopName(place)}`;
  const others = methods.filter((method) => method !== 'publickey').join(', ');
  let message = `${who} refuses the key ${key}: check the user, its authorized_keys on the host, and the key in the Secret.`;
  if (partialSuccess)
    message = `${who} takes the key ${key} but also wants ${others || 'another method'}, which cannot be given: let the key alone suffice.`;
  else if (methods.length > 0 && !methods.includes('publickey'))
    message = `${who} takes no keys (only ${others}): allow PubkeyAuthentication for this user.`;
  else if (textOf(error).includes('SHA-1'))
    message = `${who} takes signatures of the key ${key} with SHA-1 only: use an Ed25519 key, update its SSH server, or allow legacy algorithms.`;
  return problem('AuthenticationFailed', place, message, error);
}

/** The connection ended while it was needed. */
export function lostError(place: Place, error?: unknown, when?: string): SSHError {
  const cause = error === undefined || textOf(error) === CLOSED ? 'the host or the network closed it' : textOf(error);
  return problem(
    'ConnectionLost',
    place,
    `The connection to ${place.user}@${hopName(place)} was lost${when === undefined ? '' : ` ${when}`} (${cause}).`,
    error,
  );
}

/** A refused host key; `presented` are all keys that the server showed, one of each type. */
export function hostKeyError(
  verdict: Exclude<HostKeyVerdict, 'accepted'>,
  place: Place,
  expectation: Expectation,
  presented: HostKey[],
  isBastion: boolean,
): SSHError {
  const hop = hopName(place);
  const [first] = presented;
  const options = first ? { presented: first.fingerprint } : {};
  const shown = presented.map(describe).join(', ');
  if (verdict === 'unknown') {
    const hint = expectation.certificateAuthority
      ? 'known_hosts has only @cert-authority lines for it, and host certificates are not supported: add its key'
      : 'no key of it is known: add one to hostKeys or known_hosts';
    return new SSHError('HostKeyUnknown', hop, `The host key of ${hop} is unknown: it presented ${shown}, and ${hint}.`, options);
  }
  if (verdict === 'revoked')
    return new SSHError('HostKeyChanged', hop, `The host key of ${hop}, ${shown}, is marked @revoked in known_hosts.`, options);
  const expected = expectation.keys.map(describe).join(', ');
  const accept = isBastion
    ? 'correct the bastion’s hostKeys'
    : `accept the new key with the annotation infrastructure.cluster.x-k8s.io/accept-host-key=${first?.fingerprint ?? ''}`;
  const message = `The host key of ${hop} has changed: expected ${expected}, presented ${shown}. If the host was installed anew, ${accept}; if not, somebody may be listening in.`;
  return new SSHError('HostKeyChanged', hop, message, options);
}

function describe({ fingerprint, type }: { fingerprint: string; type: string | undefined }): string {
  return type === undefined ? fingerprint : `${fingerprint} (${type})`;
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first line of what a server said, fit for a message. */
export function quoted(text: string): string {
  const [line = ''] = text.trim().split(/\r?\n/);
  return line.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80);
}
