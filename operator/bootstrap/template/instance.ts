/** cloud-init's instance data (its sources/__init__.py), as far as a machine here has it: what templates may name. */
import { HostUnknown, type HostSystem, type InstanceData } from '../plan.ts';
import { distributionOf } from './distribution.ts';
import { Refusal } from './refusal.ts';
import { Dict, shownName, type Value } from './values.ts';

/** A name that cloud-init has and a template here may not use. */
export class Withheld {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** What only the host can say, before it was asked. */
const OF_HOST = new Withheld('only the host can say it');

export type Variable = string | null | string[] | Withheld | Variables;
export interface Variables {
  [name: string]: Variable;
}

const OF_CLOUD_INIT = new Withheld('it is what cloud-init says of itself, which does not run here');
const OF_SECRET = new Withheld('a machine here has no user data but the document itself');
const NOT_SAID = new Withheld('the host does not say it');

/** With the names of `v1` at the top level, too. */
export function variablesOf(instance: InstanceData): Variables {
  const ofHost = (value: (system: HostSystem) => string): Variable => (instance.system ? value(instance.system) : OF_HOST);
  const hostname = ofHost(() => instance.hostname);
  const { instanceID, failureDomain: zone = null } = instance;
  const identity: Variables = {
    instance_id: instanceID,
    'instance-id': instanceID,
    local_hostname: hostname,
    'local-hostname': hostname,
    hostname,
  };
  const v1: Variables = {
    ...identity,
    ...{ availability_zone: zone, 'availability-zone': zone, region: zone },
    ...{ cloud_name: 'remote', 'cloud-name': 'remote', cloud_id: 'remote', platform: 'remote', subplatform: 'unknown' },
    ...{ distro: ofHost(distribution('distro')), distro_version: ofHost(distribution('distro_version')) },
    ...{ distro_release: ofHost(distribution('distro_release')), variant: ofHost(distribution('variant')) },
    kernel_release: said(ofHost(({ kernelRelease }) => kernelRelease)),
    machine: said(ofHost(({ architecture }) => architecture)),
    system_platform: said(ofHost(platformOf)),
    public_ssh_keys: [],
    python_version: new Withheld('a host here need not have Python'),
    _beta_keys: ['subplatform'],
  };
  const place: Variables = zone === null ? {} : { availability_zone: zone, 'availability-zone': zone, region: zone };
  return {
    ...v1,
    v1,
    ds: {
      meta_data: { ...identity, ...place, dsmode: new Withheld('it is of a data source of cloud-init, and a machine here has none') },
      _doc: OF_CLOUD_INIT,
    },
    ...{ merged_cfg: OF_CLOUD_INIT, sys_info: new Withheld('v1 has what a host here says of itself') },
    ...{ base64_encoded_keys: OF_CLOUD_INIT, sensitive_keys: OF_CLOUD_INIT },
    ...{ userdata: OF_SECRET, vendordata: OF_SECRET, vendordata2: OF_SECRET },
  };
}

const distribution = (name: keyof ReturnType<typeof distributionOf>) => (system: HostSystem) => distributionOf(system)[name];
const said = (value: Variable): Variable => (value === '' ? NOT_SAID : value);

/** Python's platform.platform(). */
const platformOf = ({ kernelRelease, architecture, libc }: HostSystem): string =>
  !/^glibc [\d.]+$/.test(libc) ? '' : `Linux-${kernelRelease}-${architecture}-with-${libc.replace(' ', '')}`.replaceAll(/[/\\:;"()]/g, '-');

/** Takes what a person should know of a name that a template asks for. */
type Note = (name: string, message: string) => void;

/** A map of the instance data: knows which names cloud-init would have there, and tells of those that there are not. */
export class InstanceDict extends Dict {
  readonly #name: string;
  readonly #absent = new Map<string, Withheld>();
  readonly #note: Note;

  constructor(name: string, variables: Variables, note: Note) {
    super();
    this.#name = name;
    this.#note = note;
    for (const [key, variable] of Object.entries(variables)) {
      if (variable instanceof Withheld) this.#absent.set(key, variable);
      else this.set(key, isMap(variable) ? new InstanceDict(key, variable, note) : variable);
    }
  }

  override get size(): number {
    if ([...this.#absent.values()].includes(OF_HOST)) throw new HostUnknown();
    return super.size;
  }

  override get(key: Value): Value | undefined {
    const found = super.get(key);
    const shown = typeof key === 'string' ? shownName(key) : 'a name';
    if (found === null) this.#note(shown, 'the machine has no failure domain; it is None, as in cloud-init');
    if (found !== undefined) return found;
    const absent = typeof key === 'string' ? this.#absent.get(key) : undefined;
    if (absent === OF_HOST) throw new HostUnknown();
    if (absent !== undefined) throw new Refusal(`it names ${shown}, which is not given here: ${absent.why}`);
    this.#note(shown, 'the template asks for a variable that a machine here does not have; it is undefined there, as in cloud-init');
    return undefined;
  }

  override *entries(): Generator<[Value, Value]> {
    const names = [...this.#absent.keys()].join(', ');
    if (names !== '') this.#note(this.#name, `the template goes through all names of it; of those of cloud-init it lacks ${names}`);
    yield* super.entries();
  }
}

export const isMap = (variable: Variable): variable is Variables =>
  typeof variable === 'object' && variable !== null && !Array.isArray(variable) && !(variable instanceof Withheld);
