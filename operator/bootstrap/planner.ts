import { planCloudConfig } from './cloud-config/planner.ts';
import { readDocument } from './format.ts';
import { BootstrapDataError, type BootstrapData, type Finding, type InstanceData, type Plan, type Step } from './plan.ts';
import { planIgnition } from './ignition/planner.ts';
import { planScript } from './script.ts';
import { mentionsSentinel } from './sentinel.ts';
import { renderTemplate } from './template.ts';

/**
 * The ordered steps of a run, from a bootstrap Secret's content. Pure, with plain data in and out, so that it can run in a
 * worker thread; the whole document is checked before a plan is returned.
 * @throws BootstrapDataError and nothing else, with every problem of the document in one message
 */
export function planBootstrap(data: BootstrapData, instance: InstanceData): Plan {
  try {
    const { steps, findings } = plan(data, instance);
    return { steps, expectsSentinel: steps.some(mentionsSentinel), findings };
  } catch (cause) {
    if (cause instanceof BootstrapDataError) throw cause;
    // Parsers recurse: a document nested without end exhausts the stack. Its text must not get into the message.
    const what = cause instanceof RangeError ? 'it is nested too deeply or grows too large' : 'it cannot be read';
    throw new BootstrapDataError('BootstrapDataInvalid', `the bootstrap data is not valid: ${what}`, [], cause);
  }
}

function plan(data: BootstrapData, instance: InstanceData): { steps: Step[]; findings: Finding[] } {
  const document = readDocument(data);
  if (document.kind === 'ignition') return planIgnition(document.text);
  const { text, findings } = document.template ? renderTemplate(document.text, instance) : { text: document.text, findings: [] };
  if (document.kind === 'script') return { steps: [planScript(text)], findings };
  if (!document.hasHeader) findings.push(noHeader);
  // An empty line stands for the template's header, so that lines are counted as in the data.
  const planned = planCloudConfig(document.template ? `\n${text}` : text, instance);
  return { steps: planned.steps, findings: [...findings, ...planned.findings] };
}

const noHeader: Finding = {
  reason: 'HeaderMissing',
  path: '',
  line: 1,
  message: 'the data does not begin with #cloud-config; it is taken as cloud-config, cloud-init itself would pass over it',
};
