/** What bootstrap data parses into: the ordered steps of a run. Pure data; the runner carries it out. */

export interface Plan {
  /** In the order in which they run on the host; the first that fails ends the run. */
  steps: Step[];
  /** The data speaks of the Cluster API sentinel file, so success requires that this run wrote it. */
  expectsSentinel: boolean;
  /** What the host says may be in it: another host may have another plan. */
  ofHost: boolean;
  /** What a person should know although the data is honoured. */
  findings: Finding[];
}

export type Step = FileStep | CommandStep | PowerStep;

/** Writes one file: missing parent directories are made with mode 0755, content is complete before it is visible under its name. */
export interface FileStep {
  kind: 'file';
  /** Place in the data, such as `write_files[2] /etc/k0s.yaml`. */
  name: string;
  /** Absolute. */
  path: string;
  content: Uint8Array;
  /** Permission bits such as 0o644. */
  mode: number;
  /** `user`, `user:group` or `:group`, resolved on the host when the step runs; what it leaves out stays as an existing file has it. Not set: root:root. */
  owner?: string;
  /** Add to the end of an existing file in place of replacing it. */
  append: boolean;
  /** What an existing file keeps of its own; mode and owner are those of a new one. */
  keep?: { mode: boolean; owner: boolean };
}

export interface CommandStep {
  kind: 'command';
  /** Place in the data, such as `runcmd[1]`. */
  name: string;
  /** A shell fragment, or the text of a script where `interpreter` is set. */
  script: string;
  /**
   * Not set: runs in the /bin/sh that all commands with the same `shell` share, with its environment and directory.
   * Set: a process of its own, `interpreter… <file>`; `[]` executes the file itself by its first line.
   */
  interpreter?: string[];
  /**
   * Name of the shared /bin/sh, such as `bootcmd`; not set: the run's main one. A shell starts at the first command that
   * names it and ends after the last one, and nothing of it (variables, directory, options) reaches another.
   */
  shell?: string;
}

/**
 * Switches the host off and on, or off: after all other steps, wherever it stands, once the outcome of a run that succeeded is on
 * the host's disk. Of several the first whose condition holds counts.
 */
export interface PowerStep {
  kind: 'power';
  name: string;
  mode: 'reboot' | 'poweroff' | 'halt';
  /** Minutes. */
  delay: number;
  /** What people who are logged in are told. */
  message?: string;
  /** A script, as of a CommandStep with /bin/sh as its interpreter: exit code 0 is yes, 1 is no, any other is a failure. Not set: yes. */
  condition?: string;
}

export interface Finding {
  /** CamelCase, for an Event's reason: UnsupportedKey, DuplicateKey, RunsOnceOnly… */
  reason: string;
  /** Path of the key in the data, such as `users[0].ssh_import_id`. */
  path: string;
  /** Line in the (decoded and rendered) data, from 1; in that of the part, if there is one. */
  line?: number;
  /** Name of the part, of data that has several. */
  part?: string;
  message: string;
}

/** A finding for people: `runcmd[0] (part-002, line 3): …`. */
export function sentenceOf({ path, line, part, message }: Finding): string {
  const place = [part, line === undefined ? undefined : `line ${line}`].filter((word) => word !== undefined && word !== '').join(', ');
  return `${[path, place && `(${place})`].filter((word) => word !== '').join(' ')}: ${message}`;
}

/** What the plan of a machine's data depends on besides the data: values that its Jinja template may name, and more. */
export interface InstanceData {
  /** The host's name. Before contact the machine's name stands for it, in all that is no template. */
  hostname: string;
  instanceID: string;
  /** The failure domain; the region too, as Cluster API knows no other place. */
  failureDomain?: string;
  /** What the host says of its system. Not set before contact: a template that names something of the host throws HostUnknown. */
  system?: HostSystem;
}

/** Empty texts are what the host does not say. */
export interface HostSystem {
  /** As uname(1) says: `-r`, `-m`. */
  kernelRelease: string;
  architecture: string;
  /** Such as `glibc 2.36`. */
  libc: string;
  /** ID, VERSION_ID and others of os-release(5). */
  release: Partial<Record<string, string>>;
}

/** The data's template asks for what only its host can say, and the host has not been asked yet. */
export class HostUnknown extends Error {
  constructor() {
    super('the data is a template that names something of its host');
    this.name = 'HostUnknown';
  }
}

export type BootstrapDataErrorReason =
  | 'BootstrapDataEmpty'
  | 'BootstrapDataBinary'
  | 'BootstrapDataTooLarge'
  | 'BootstrapDataInvalid' // not YAML, template error, wrong type of a value
  | 'BootstrapFormatUnsupported' // powershell, an unknown `format`, type of a part or version of Ignition
  | 'BootstrapKeyUnsupported'; // a key that can't be honoured

/** The data can't be honoured; terminal. `message` names path and line, and holds no content of the data. */
export class BootstrapDataError extends Error {
  readonly reason: BootstrapDataErrorReason;
  readonly findings: Finding[];
  constructor(reason: BootstrapDataErrorReason, message: string, findings: Finding[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BootstrapDataError';
    this.reason = reason;
    this.findings = findings;
  }
}

/** What the bootstrap Secret holds. */
export interface BootstrapData {
  value: Uint8Array;
  /** Secret key `format`; not set means cloud-config unless the header says otherwise. */
  format?: string;
}

/** The plan for a host, read somewhere. @throws BootstrapDataError, and HostUnknown where the instance data has no system */
export type Planner = (data: BootstrapData, instance: InstanceData) => Promise<Plan>;
