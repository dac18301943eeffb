/** What the supervisor tells the terminal. */
export interface Row {
  machine: string;
  host: string;
  /** The Machine's phase, and what it waits for. */
  phase: string;
  /** Since its object was made, until it was ready. */
  seconds: number;
  ready: boolean;
}

export type Message =
  | { kind: 'step'; what: string; seconds?: number }
  | { kind: 'note'; text: string }
  | { kind: 'machines'; rows: Row[] }
  | { kind: 'ready'; kubeconfig: string; kubectl: string; hosts: { name: string; address: string }[]; key: string }
  | { kind: 'failed'; reason: string };
