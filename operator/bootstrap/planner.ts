import { invalid, parseYaml } from './cloud-config/parse.ts';
import { mergeDocuments, type Mergeable } from './cloud-config/merge.ts';
import { planCloudConfig } from './cloud-config/planner.ts';
import type { Located } from './cloud-config/located.ts';
import { refuseForeign } from './foreign.ts';
import { Budget, isIgnition, readText } from './format.ts';
import { planIgnition } from './ignition/planner.ts';
import { headerMissing, naming, type Part, partsOf } from './parts/parts.ts';
import { beside, findingsOf, planBoothook } from './parts/scripts.ts';
import { mentionsSentinel } from './sentinel.ts';
import { told } from './problems.ts';
import { BootstrapDataError, type BootstrapData, type Finding, HostUnknown, type InstanceData, type Plan, type Step } from './plan.ts';

/**
 * The ordered steps of a run, from a bootstrap Secret's content. Pure, with plain data in and out, so that it can run in a
 * worker thread; the whole document is checked before a plan is returned.
 * @throws BootstrapDataError, with every problem of the document in one message; HostUnknown where the instance data has no system; and
 * nothing else
 */
export function planBootstrap(data: BootstrapData, instance: InstanceData): Plan {
  try {
    const budget = new Budget();
    const text = readText(data, budget);
    let ofHost = instance.system !== undefined;
    const watched: InstanceData = {
      ...instance,
      get hostname() {
        ofHost = true;
        return instance.hostname;
      },
    };
    const { steps, findings } = isIgnition(data, text) ? planIgnition(text, budget) : plan(partsOf(text, watched, budget), watched, budget);
    return { steps, expectsSentinel: steps.some(mentionsSentinel), ofHost, findings: told(findings) };
  } catch (cause) {
    if (cause instanceof BootstrapDataError || cause instanceof HostUnknown) throw cause;
    // Parsers recurse: a document nested without end exhausts the stack. Its text must not get into the message.
    const what = cause instanceof RangeError ? 'it is nested too deeply or grows too large' : 'it cannot be read';
    throw new BootstrapDataError('BootstrapDataInvalid', `the bootstrap data is not valid: ${what}`, [], cause);
  }
}

function plan(parts: Part[], instance: InstanceData, budget: Budget): { steps: Step[]; findings: Finding[] } {
  const boothooks = parts.filter(({ kind }) => kind === 'boothook').map((part) => planBoothook(part, instance));
  const { document, findings } = merged(
    parts.filter(({ kind }) => kind === 'cloud-config'),
    budget,
  );
  if (document === undefined && parts.every(({ kind }) => kind === 'cloud-config')) {
    throw new BootstrapDataError('BootstrapDataEmpty', 'the cloud-config document holds no key');
  }
  const planned = planCloudConfig(document, instance, (runcmd) => beside(runcmd, parts), budget);
  return {
    steps: [...boothooks, ...planned.steps],
    findings: [...parts.flatMap((part) => part.findings), ...findingsOf(parts, planned.steps), ...findings, ...planned.findings],
  };
}

/** The cloud-config parts as one document; undefined where they hold nothing. */
function merged(parts: Part[], budget: Budget): { document: Located | undefined; findings: Finding[] } {
  const documents = parts.map(({ name, text, mergeType }) => naming(name, () => ({ ...parseYaml(text, name, budget), mergeType })));
  const full = documents.filter((document): document is typeof document & Mergeable => document.root !== undefined);
  for (const { root } of full) {
    if (!isMap(root)) throw invalid(root.line, headless(parts) ? NO_HEADER : NO_MAP, root.part);
    refuseForeign(root);
  }
  return {
    document: full.length === 0 ? undefined : mergeDocuments(full),
    findings: documents.flatMap(({ findings }) => findings),
  };
}

const NO_MAP = 'a cloud-config document is a map of keys at its top level, this one is not';
const NO_HEADER =
  'the data begins neither with #cloud-config nor, as a script, with #! and its interpreter, and is no map of keys that could be cloud-config';
const headless = (parts: Part[]): boolean => parts.some(({ findings }) => findings.includes(headerMissing));

const isMap = ({ value, children }: Located): boolean => children !== undefined && !Array.isArray(value);
