/** How a host gets rid of what a machine left on it. Left beside the claim, so that it needs neither Machine nor RemoteMachine. */

export interface CleanupPlan {
  /** Where the commands come from, for people: `cleanUpCommands` or the bootstrap provider's name. */
  source: string;
  commands: CleanupCommand[];
  /** Looked at on the host afterwards; every one must hold. */
  checks: CleanupCheck[];
}

export interface CleanupCommand {
  /** Such as `cleanUpCommands[0]` or `kubeadm reset`. */
  name: string;
  /** Shell fragment for /bin/sh, run as root. */
  script: string;
  /** A failure is noted and the next command runs; the checks decide. */
  mayFail: boolean;
}

export interface CleanupCheck {
  /** What must be so, for people: `no file in /etc/kubernetes/manifests`. */
  name: string;
  /** Shell fragment; exit code 0 means that it is so. Its output says what is left. */
  script: string;
}

/** What decides the plan. */
export interface CleanupInput {
  /** spec.cleanUpCommands, else spec.customCleanUpCommands. */
  commands?: string[];
  /** Kind and API group of the Machine's bootstrap.configRef. */
  bootstrap?: { kind: string; group: string };
}
