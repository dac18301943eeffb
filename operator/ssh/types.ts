/** What the rest of the operator knows of SSH: where to connect, how to run one of the constant exec lines, what can go wrong. */

/** An SSH server on the way to a host, or the host itself. */
export interface Hop {
  /** IPv4, IPv6 (without brackets) or DNS name. */
  address: string;
  port: number;
  user: string;
  /** Private key in OpenSSH, PEM or PKCS#8 form. */
  privateKey: string;
  passphrase?: string;
  hostKeys: HostKeyPolicy;
}

/** The host and the bastions before it, the outermost first. */
export interface Target extends Hop {
  bastions: Hop[];
}

/**
 * Which host key is accepted: from hostKeys, else from the known hosts, else (for a host, not for a bastion) the one pinned.
 * `expected` empty and `trustOnFirstUse` true: any key is taken, and the caller pins `Connection.hostKey`.
 * `expected` empty and `trustOnFirstUse` false: every key is refused as HostKeyUnknown.
 */
export interface HostKeyPolicy {
  expected: ExpectedHostKeys;
  /** Keys or fingerprints that are taken as well, whatever `expected` is; one marked @revoked is not. */
  accepted?: string[];
  trustOnFirstUse: boolean;
}

/** From spec.hostKeys: OpenSSH public keys or SHA256 fingerprints; from a known_hosts text: its lines that match the hop. */
export type ExpectedHostKeys = { kind: 'keys'; keys: string[] } | { kind: 'knownHosts'; text: string };

/** A host key as presented. */
export interface HostKey {
  /** Key type, such as ssh-ed25519. */
  type: string;
  /** `SHA256:` and unpadded base64, as ssh-keygen -l prints it. */
  fingerprint: string;
  /** `<type> <base64>`, OpenSSH's public key form without a comment. */
  publicKey: string;
}

/** The only lines ever executed on a host; everything else goes to their standard input. */
export const EXEC_LINES = { plain: '/bin/sh -s', sudo: 'sudo -n /bin/sh -s' } as const;
export type Privilege = keyof typeof EXEC_LINES;

export interface ExecOptions {
  privilege: Privilege;
  /** Shell program for standard input, which then ends unless `keepStdin` or `dialogue` is set. */
  program: string | Uint8Array;
  /** Standard input stays open until the channel closes. */
  keepStdin?: boolean;
  /** Another exec follows this one: its shell is opened meanwhile. */
  another?: boolean;
  dialogue?: Dialogue;
  /** Ends the channel (and rejects with the signal's reason) when aborted. */
  signal: AbortSignal;
  /** Milliseconds without a result after which the channel is closed and ExecTimeout thrown. Not set: no limit. */
  timeout?: number;
  /** Called with each chunk of standard output, in order; the output is then not collected. */
  onStdout?: (chunk: Buffer) => void;
  /** Bytes of collected standard output after which the exec is ended with OutputTooLong. Default 1 MiB. */
  maxOutput?: number;
}

/** Of an exec that goes on for as long as it takes between its first answer and our last word. The timeout is for both ends of it. */
export interface Dialogue {
  /** Resolves when the answer has come. */
  answered: Promise<void>;
  /** Resolves to what standard input ends with. */
  lastWord: Promise<string>;
}

export interface ExecResult {
  /** Never null: a channel that closes without an exit status rejects with ConnectionLost. */
  exitCode: number;
  /** Collected standard output, empty with onStdout. */
  stdout: string;
  /** Last 8 KiB of standard error. */
  stderr: string;
}

/** One SSH connection, reused for every exec within a run. */
export interface Connection {
  /** The key that the host itself presented (not a bastion). */
  readonly hostKey: HostKey;
  /** Rejects with SSHError; a non-zero exit code is a result, not an error. */
  exec(options: ExecOptions): Promise<ExecResult>;
  /** Resolves once the socket is closed, its own and the bastions'. Never rejects, may be called twice. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  signal: AbortSignal;
  /** Milliseconds for TCP, key exchange and authentication of one hop. */
  timeout: number;
  /** Milliseconds between keepalive requests; the connection counts as lost after three without an answer. */
  keepalive: number;
  /** Offer algorithms that OpenSSH disabled by default (SHA-1 signatures and MACs, CBC, group1/group14-sha1). */
  legacyAlgorithms: boolean;
}

/** Opens connections; the real one is SSHDialer in dialer.ts. */
export interface Dialer {
  connect(target: Target, options: ConnectOptions): Promise<Connection>;
}

/** Everything that can go wrong, each with a reason that a condition can carry. */
export type SSHErrorReason =
  | 'InvalidPrivateKey' // not a private key, or of a kind that is not supported
  | 'PassphraseRequired' // the key is encrypted and there is no passphrase
  | 'WrongPassphrase'
  | 'AddressNotFound' // DNS
  | 'ConnectionRefused'
  | 'HostUnreachable' // no route, network unreachable
  | 'ConnectTimeout'
  | 'HandshakeFailed' // not SSH, or no algorithm in common
  | 'HostKeyChanged' // presented key is none of the expected; message holds both fingerprints
  | 'HostKeyUnknown' // knownHosts has no line for the host
  | 'AuthenticationFailed'
  | 'SudoPasswordRequired' // sudo -n would ask
  | 'SudoUnavailable' // sudo is not installed, or wants a terminal
  | 'ForwardingRefused' // a bastion refuses to forward
  | 'ChannelRefused' // sshd opens no session (MaxSessions), or the account gets no shell (nologin, ForceCommand)
  | 'ExecTimeout'
  | 'OutputTooLong'
  | 'ConnectionLost';

/** `message` is for people: what happened, at which hop, what can be done. It holds no secret. */
export class SSHError extends Error {
  readonly reason: SSHErrorReason;
  /** `address:port` of the hop that it happened at. */
  readonly hop: string;
  /** For HostKeyChanged and HostKeyUnknown: the fingerprint that was presented. */
  readonly presented: string | undefined;
  constructor(reason: SSHErrorReason, hop: string, message: string, options: { cause?: unknown; presented?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SSHError';
    this.reason = reason;
    this.hop = hop;
    this.presented = options.presented;
  }
}
