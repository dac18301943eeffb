/**
 * Rules over time (CEL, at the root of a kind's schema, where spec and status are both seen). They compare with the stored
 * object, so that creating one, as clusterctl move or a restored backup does, is always allowed.
 */
export interface Rule {
  rule: string;
  message: string;
  /** Where the fault is shown. */
  fieldPath: string;
  reason: 'FieldValueForbidden';
}

const forbid = (fieldPath: string, rule: string, message: string): Rule => ({ rule, message, fieldPath, reason: 'FieldValueForbidden' });

const provisioned = [
  'oldSelf.?spec.?providerID.hasValue()',
  'oldSelf.?status.?initialization.?provisioned.orValue(false)',
  'oldSelf.?status.?ready.orValue(false)',
].join(' || ');

const reserved = "oldSelf.?status.?reserved.orValue(false) || oldSelf.?status.?machineRef.?name.orValue('') != ''";

export const REMOTE_MACHINE_RULES: Rule[] = [
  forbid(
    '.spec.providerID',
    '!oldSelf.?spec.?providerID.hasValue() || self.?spec.?providerID == oldSelf.?spec.?providerID',
    'providerID does not change once it is set: the Node is found by it',
  ),
  // An address that was not set may be: a reservation writes it, and a machine taken over from elsewhere may lack it.
  forbid(
    '.spec.address',
    `!(${provisioned}) || !oldSelf.?spec.?address.hasValue() || (self.?spec.?address == oldSelf.?spec.?address && self.?spec.?port.orValue(22) == oldSelf.?spec.?port.orValue(22))`,
    'address and port of a provisioned machine do not change: delete the Machine to move to another host',
  ),
  forbid(
    '.spec.pool',
    `!(${provisioned}) || self.?spec.?pool == oldSelf.?spec.?pool`,
    'pool of a provisioned machine does not change: delete the Machine to move to another pool',
  ),
];

export const POOLED_REMOTE_MACHINE_RULES: Rule[] = [
  forbid(
    '.spec.machine.address',
    `!(${reserved}) || (self.spec.machine.address == oldSelf.spec.machine.address && self.spec.machine.?port.orValue(22) == oldSelf.spec.machine.?port.orValue(22))`,
    'address and port of a reserved entry do not change: delete the Machine that has it first',
  ),
  forbid(
    '.spec.pool',
    `!(${reserved}) || self.spec.pool == oldSelf.spec.pool`,
    'pool of a reserved entry does not change: delete the Machine that has it first',
  ),
];
