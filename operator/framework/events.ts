import type { KubernetesObject } from '../../apis/meta.ts';
import type { Client, EventRecorder, Logger } from './types.ts';

export interface EventSinkOptions {
  client: Client;
  log: Logger;
  /** reportingInstance: the pod's name. */
  instance: string;
}
export declare class EventSink implements EventRecorder {
  constructor(options: EventSinkOptions);
  event(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, action: string, note: string): void;
  /** Resolves when everything is written, or after `milliseconds`. */
  drain(milliseconds?: number): Promise<void>;
}
