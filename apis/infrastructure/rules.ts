/**
 * Rules over time (CEL, at the root of a kind's schema, where spec and status are both seen). They compare with the stored
 * object, so that creating one, as clusterctl move or a restored backup does, is always allowed. Written with has() throughout:
 * the API server estimates that comparing optionals (self.?spec.?pool) costs more than it allows.
 */
export interface Rule {
  rule: string;
  message: string;
  /** Where the fault is shown. */
  fieldPath: string;
  reason: 'FieldValueForbidden';
}

const forbid = (fieldPath: string, rule: string, message: string): Rule => ({ rule, message, fieldPath, reason: 'FieldValueForbidden' });

/** `object` has the field, and every one on the way to it. */
function has(object: 'self' | 'oldSelf', field: string): string {
  const names = field.split('.');
  return names.map((_name, index) => `has(${[object, ...names.slice(0, index + 1)].join('.')})`).join(' && ');
}

const isTrue = (field: string): string => `(${has('oldSelf', field)} && oldSelf.${field})`;
const isKept = (field: string): string => `(${has('self', field)} && self.${field} == oldSelf.${field})`;
const isKeptIfSet = (field: string): string => `(!(${has('oldSelf', field)}) || ${isKept(field)})`;
const port = (object: 'self' | 'oldSelf', field: string): string => `(${has(object, field)} ? ${object}.${field} : 22)`;
const isSamePort = (field: string): string => `${port('self', field)} == ${port('oldSelf', field)}`;

const provisioned = `((${has('oldSelf', 'spec.providerID')}) || ${isTrue('status.initialization.provisioned')} || ${isTrue('status.ready')})`;
/** A run has begun, or the machine was bootstrapped by another operator. */
const bootstrapped = `(${provisioned} || (${has('oldSelf', 'status.bootstrap')}))`;
const reserved = `(${isTrue('status.reserved')} || (${has('oldSelf', 'status.machineRef')} && oldSelf.status.machineRef.name != ''))`;

export const REMOTE_MACHINE_RULES: Rule[] = [
  forbid('.spec.providerID', isKeptIfSet('spec.providerID'), 'providerID does not change once it is set: the Node is found by it'),
  // An address that was not set may be: a reservation writes it, and a machine taken over from elsewhere may lack it.
  forbid(
    '.spec.address',
    `!${bootstrapped} || !(${has('oldSelf', 'spec.address')}) || (${isKept('spec.address')} && ${isSamePort('spec.port')})`,
    'address and port do not change once the bootstrap has begun: delete the Machine to move to another host',
  ),
  forbid(
    '.spec.pool',
    `!${provisioned} || (${isKeptIfSet('spec.pool')} && (${has('oldSelf', 'spec.pool')} || !(${has('self', 'spec.pool')})))`,
    'pool of a provisioned machine does not change: delete the Machine to move to another pool',
  ),
];

export const POOLED_REMOTE_MACHINE_RULES: Rule[] = [
  forbid(
    '.spec.machine.address',
    `!${reserved} || (self.spec.machine.address == oldSelf.spec.machine.address && ${isSamePort('spec.machine.port')})`,
    'address and port of a reserved entry do not change: delete the Machine that has it first',
  ),
  forbid(
    '.spec.pool',
    `!${reserved} || self.spec.pool == oldSelf.spec.pool`,
    'pool of a reserved entry does not change: delete the Machine that has it first',
  ),
];
