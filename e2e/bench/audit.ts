/** What a manager asked of the API server, read from its audit log. */
import { readFileSync } from 'node:fs';

interface AuditEvent {
  stage: string;
  verb: string;
  userAgent?: string;
  requestURI: string;
  requestReceivedTimestamp: string;
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
  responseStatus?: { code?: number };
}

export interface ApiRequest {
  /** Such as `PATCH remotemachines/status`. */
  what: string;
  namespace: string;
  name: string;
  /** Unix ms. */
  at: number;
  code: number;
}

/** Requests of our manager, without watches and their lists, Leases and Events. */
export function requestsOf(auditLog: string, since: number): ApiRequest[] {
  const events = readFileSync(auditLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('cluster-api-provider-remote/'))
    .map((line) => JSON.parse(line) as AuditEvent);
  return events
    .filter(({ stage, verb, userAgent, objectRef }) => {
      const ours = stage === 'ResponseComplete' && userAgent?.startsWith('cluster-api-provider-remote/') === true;
      return ours && verb !== 'watch' && verb !== 'list' && !['events', 'leases'].includes(objectRef?.resource ?? '');
    })
    .map(({ verb, objectRef, requestReceivedTimestamp, responseStatus }) => ({
      what: `${verb} ${[objectRef?.resource ?? '?', objectRef?.subresource].filter(Boolean).join('/')}`,
      namespace: objectRef?.namespace ?? '',
      name: objectRef?.name ?? '',
      at: Date.parse(requestReceivedTimestamp),
      code: responseStatus?.code ?? 0,
    }))
    .filter(({ at }) => at >= since);
}

/** `4 x get secrets, 2 x patch remotemachines`, in the order of first appearance. */
export function summarize(requests: ApiRequest[]): string {
  const counts = new Map<string, number>();
  for (const { what, code } of requests) {
    const key = code >= 400 ? `${what} (${code})` : what;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([what, count]) => (count === 1 ? what : `${count} x ${what}`)).join(', ');
}
