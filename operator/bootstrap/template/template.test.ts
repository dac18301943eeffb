import { BootstrapDataError, HostUnknown } from '../plan.ts';
import { renderTemplate } from './template.ts';
import { INSTANCE, RENDERED } from './testing/table.ts';

const UNTOLD = { kernelRelease: '6.1', architecture: 'x86_64', libc: '', release: {} };
const render = (text: string) => renderTemplate(text, INSTANCE).text;

function refusal(template: string): string {
  try {
    return `rendered: ${render(template)}`;
  } catch (error) {
    if (!(error instanceof BootstrapDataError)) throw error;
    return error.message;
  }
}

test.each(RENDERED)('%s', (template, expected) => expect(render(template)).toBe(expected));

test('what does not exist is written as cloud-init writes it, and told', () => {
  const template = "{{ nope }} {{ ds.meta_data.uuid }} {% if true %}{{ nope ~ '' }}{% endif %}{% if {}.own is defined %}{% endif %}";
  const { text, findings } = renderTemplate(template, INSTANCE);
  expect(text).toBe('CI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/uuid CI_MISSING_JINJA_VAR/nope');
  expect(findings.map(({ reason, path }) => [reason, path])).toEqual([
    ['TemplateVariableMissing', 'nope'],
    ['TemplateVariableMissing', 'uuid'],
  ]);
});

test.each([
  ['{% if nope is defined and nope == 1 %}{% endif %}', ['nope']],
  ["{{ v1.nope | default('x') }}{{ ds.meta_data.get('none_such') }}", ['nope', 'none_such']],
  ["{% for k in v1['public-keys'] %}{% endfor %}{% if 'no' in ds %}{% endif %}", ['public-keys', 'no']],
  ["{% set given = 1 %}{{ given }}{{ v1['s e c r e t'] == 1 }}", ['a name']],
  ['{{ v1.distro }}{{ ds.meta_data.hostname }}{{ platform }}', []],
])('what is only asked for is told, too: %s', (template, paths) => {
  const { findings } = renderTemplate(template, INSTANCE);
  expect(findings.map(({ path }) => path)).toEqual(paths);
  for (const { reason, message } of findings)
    expect([reason, message]).toEqual(['TemplateVariableMissing', expect.stringMatching(/undefined/)]);
});

test('without a failure domain its names are None, as in cloud-init, and that is told', () => {
  const { hostname, instanceID, system = UNTOLD } = INSTANCE;
  const elsewhere = { hostname, instanceID, system };
  const { text, findings } = renderTemplate(
    "{{ v1.region }} {{ availability_zone is none }} {{ ds.meta_data.region | default('d') }}",
    elsewhere,
  );
  expect(text).toBe('None True d');
  expect(findings.map(({ path, message }) => [path, message.slice(0, 12)])).toEqual([
    ['region', 'the template'],
    ['availability_zone', 'the machine '],
  ]);
});

test('who goes through all names is told of those that are not there', () => {
  const { text, findings } = renderTemplate(
    "{% for name in v1 if name == 'python_version' %}x{% endfor %}{{ ds.meta_data | length }}",
    INSTANCE,
  );
  expect(text).toBe('8');
  expect(findings).toMatchObject([{ path: 'v1', message: expect.stringContaining('lacks python_version') as string }]);
});

test('what only the host can say is not guessed', () => {
  const ahead = { hostname: 'm', instanceID: 'i-1', failureDomain: 'z1' };
  expect(renderTemplate('{{ instance_id }} {{ region }} {{ v1.cloud_name }} {{ nope }}', ahead).text).toMatch(/^i-1 z1 remote /);
  for (const name of [
    'v1.hostname',
    'ds.meta_data.local_hostname',
    'distro',
    'variant',
    "v1['machine']",
    'v1 | length',
    "v1.get('machine')",
    'v1',
  ]) {
    expect(() => renderTemplate(`{{ ${name} }}`, ahead)).toThrow(HostUnknown);
  }
  const untold = { ...INSTANCE, system: UNTOLD };
  expect(renderTemplate('{{ distro }}|{{ v1.distro_release }}|{{ variant }}', untold).text).toBe('||linux');
  expect(() => renderTemplate('{{ system_platform }}', untold)).toThrow(
    'it names system_platform, which is not given here: the host does not say it',
  );
});

describe('what is wrong is refused, with its line and nothing that is secret', () => {
  test.each([
    ['a\n{{ secret', 'line 3: the Jinja template of the bootstrap data cannot be rendered: a tag of it is not closed'],
    ["a\n{{ 'secret }}", 'line 3: the Jinja template of the bootstrap data cannot be rendered: a tag of it is not closed'],
    ['a\n{# secret', 'line 3: the Jinja template of the bootstrap data cannot be rendered: a tag of it is not closed'],
    ['a\n{% raw %}secret', 'line 3: the Jinja template of the bootstrap data cannot be rendered: a tag of it is not closed'],
    ['a\n\n{{ secret secret }}', 'line 4: the Jinja template of the bootstrap data cannot be rendered: it has a syntax error'],
    ['{{ (1] }}', 'it has a syntax error'],
    ['{{ }}', 'it has a syntax error'],
    ['{{ 1 if }}', 'it has a syntax error'],
    ['{{ f(a=1, 2) }}', 'it has a syntax error'],
    ['{% if secret %}\n', 'a block of it is not closed'],
    ['{% endif %}', 'it has a statement that Jinja does not have here'],
    ['{% secret %}', 'it has a statement that Jinja does not have here'],
    ["a\n{% if true %}b{% else %}\n{{ 'x' }}{% endif %}\n{{ 'c' | secret }}", 'line 5: the Jinja template of the bootstrap data cannot'],
    ["{{ 'c' is secret }}", 'it has a test that Jinja does not have'],
    ["{% macro m(x) %}\n{{ 'a' + 1 }}\n{% endmacro %}\n{{ m('a') }}", 'line 3: the Jinja template of the bootstrap data cannot'],
    [
      'a\n{% if python_version is defined %}{% endif %}',
      'line 3: the Jinja template of the bootstrap data cannot be rendered: it names python_v',
    ],
    ["{{ v1.get('python_version', 'd') }}{{ 'x' }}", 'it names python_version, which is not given here: a host here need not have Python'],
    ["{{ userdata | default('x') }}", 'it names userdata, which is not given here'],
    ["{{ 'merged_cfg.x' ~ merged_cfg.x }}", 'it names merged_cfg, which is not given here'],
    ["{{ 'dsmode' in ds.meta_data }}", 'it names dsmode, which is not given here'],
    ["{{ 'a' + 1 }}", 'there is no + of a str and a int'],
    ["{{ 1 + 2 ~ 'x' }}", 'there is no + of a int and a str'],
    ["{{ 1 < 'a' }}", 'it compares a int with a str'],
    ['{{ 1 // 0 }}', 'it divides by zero'],
    ['{{ 5() }}', 'it calls what is no function'],
    ["{{ '%s %s' % 'secret' }}", 'a format asks for a value that is not given'],
    ["{{ 'secret' | round }}", 'it rounds what is no number'],
    ['{% set a, b = [1] %}', 'it unpacks a number of values into another number of names'],
    ['{{ v1.nothing.at_all }}', 'it does more than write out nothing, which a machine here does not have'],
    ["{% if nothing['at_all'] is defined %}{% endif %}", 'it does more than write out nothing, which a machine here does not have'],
    ["{{ nothing.upper() | default('x') }}", 'it does more than write out nothing, which a machine here does not have'],
    ['{{ nothing + 1 }}', 'it does more than write out nothing, which a machine here does not have'],
    ["{{ nothing['s e c r e t'] }}", 'it does more than write out nothing'],
    ["{{ v1['the secret'].x }}", 'it does more than write out a name, which a machine here does not have'],
  ])('%s', (template, expected) => {
    expect(refusal(template)).toContain(expected);
    expect(refusal(template)).not.toContain('secret');
  });
});

describe('what Python would evaluate otherwise, or is not carried out, is refused by its name', () => {
  test.each([
    ['{% include "/etc/shadow" %}', 'the statement include is not supported'],
    ['{% for i in [1] %}{% break %}{% endfor %}', 'the statement break is not supported'],
    ['{% for i in [1] recursive %}{% endfor %}', 'the statement for is not supported with recursive'],
    ['{% call m() %}{% endcall %}', 'the statement call is not supported'],
    ["{{ 'a' | urlize }}", 'the filter urlize is not supported'],
    ["{% if false %}{{ [1] | map('urlize') | list }}{{ 'a' | urlize }}{% endif %}", 'the filter urlize is not supported'],
    ['{{ 1 is sameas 1 }}', 'the test sameas is not supported'],
    ["{{ 'a'.encode() }}", 'the attribute encode of a str is not supported'],
    ['{{ 1 .real }}', 'the attribute real of a int is not supported'],
    ['{{ lipsum() }}', 'the function lipsum is not supported'],
    ['{% macro m() %}{{ varargs }}{% endmacro %}', 'the name varargs is not supported'],
    ['{{ f(*[1]) }}', 'the arguments * and ** are not supported'],
    ['{% for i in [1] %}{{ loop.depth }}{% endfor %}', 'loop.depth is not supported'],
    ["{{ '<' + ('<' | safe) }}", 'there is no + of a str and a markup'],
    ['{{ [1] | map("string") }}', 'it writes out a generator'],
    ["{{ 'x'.upper }}", 'it writes out a function'],
    ["{{ '%e' % 1.0 }}", 'it formats in a way that is not supported'],
    ["{{ 'a'.split(none, 1) }}", 'it splits at white space a number of times, which is not supported'],
    ["{{ '\\N{DASH}' }}", 'a text of it has an escape that is not supported'],
    ['{{ 2 ** 0.5 }}', 'it raises a float to a power'],
    ["{{ 'inf' | float }}", 'it makes a number of an unusual text'],
    ['{% set l = [[0]] * 2 %}', 'it repeats a list of lists'],
    ['{% set d = {1: 2} %}{% for k in d %}{% do d.update({3: 4}) %}{% endfor %}', 'a dict changes its size while a loop goes through it'],
  ])('%s', (template, expected) =>
    expect(refusal(template)).toContain(`line 2: the Jinja template of the bootstrap data cannot be rendered: ${expected}`),
  );
});

describe('nothing is in reach but values of the template', () => {
  test.each([
    "{{ ''.constructor }}",
    "{{ ''['constructor'] }} {{ {}.constructor }} {{ [].constructor }} {{ v1['constructor'] }} {{ [1] | map(attribute='constructor') | list }}",
    '{{ constructor }} {{ process }} {{ globalThis }} {{ toString }} {{ hasOwnProperty }} {{ {}.toString }} {{ [].at }} {{ 5 .toFixed }}',
    '{% for i in [1] %}{{ loop.constructor }} {{ loop.next }}{% endfor %} {{ namespace().constructor }} {{ range(3).length }}',
  ])('%s', (template) => {
    const written = render(template).replaceAll(/CI_MISSING_JINJA_VAR\/\w+|Undefined/g, '');
    expect(written).toMatch(/^[[\], ]*$/);
  });

  test.each([
    "{{ ''.constructor.constructor('return process')() }}",
    '{{ {}.__proto__ }}',
    "{{ []['__proto__'] }}",
    "{{ ''.__class__.__mro__ }}",
    '{{ range.constructor }}',
    '{{ range.call }}',
    "{{ 'a' | constructor }}",
    "{{ 'a' is constructor }}",
    "{{ [1] | map('constructor') | list }}",
    '{{ constructor() }}',
    "{{ '{a.b}'.format(a=1) }}",
  ])('%s is refused', (template) => expect(refusal(template)).toContain('cannot be rendered'));

  test('a dict has the keys that it was given, whatever they are called', () => {
    expect(render("{% set d = {'__proto__': 1} %}{{ d['__proto__'] }}{{ d }}{{ {} | length }}{{ {}['toString'] }}")).toBe(
      "1{'__proto__': 1}0CI_MISSING_JINJA_VAR/toString",
    );
  });
});

describe('work and memory are bounded', () => {
  const grows = (step: string) => `{% set ns = namespace(x='${'x'.repeat(64)}', l=[1]) %}{% for i in range(40) %}${step}{% endfor %}`;
  test.each([
    ['{% for a in range(9000) %}{% for b in range(9000) %}{{ b }}{% endfor %}{% endfor %}', 'it takes more than 200000 steps'],
    ['{% for a in range(9000) %}{% for b in range(9000) if false %}{% endfor %}{% endfor %}', 'it takes more than 200000 steps'],
    ['{% set l = [1] %}{% for x in l %}{% do l.append(x) %}{% endfor %}', 'it '],
    ['{{ range(10 ** 9) }}', 'range() gives more than 10000 elements'],
    ['{{ range(-(10 ** 30), 10 ** 30) }}', 'range() gives more than 10000 elements'],
    [grows('{% set ns.x = ns.x ~ ns.x %}'), 'it grows to more than'],
    [grows("{% set ns.x = ns.x | replace('x', ns.x) %}"), 'it grows to more than'],
    [grows('{% set ns.x = [ns.x, ns.x] | join %}'), 'it grows to more than'],
    [grows('{% set ns.l = ns.l + ns.l %}'), 'it makes a list or loop of more than 100000 elements'],
    [grows('{% do ns.l.extend(ns.l) %}'), 'it makes a list or loop of more than 100000 elements'],
    [grows('{% set ns.l = [ns.l, ns.l] %}') + '{{ ns.l }}', 'it '],
    ["{{ 'a' * 10 ** 9 }}", 'it grows to more than'],
    ['{{ [1] * 10 ** 9 }}', 'it makes a list or loop of more than 100000 elements'],
    ["{{ '%1000000000d' % 1 }}", 'it grows to more than'],
    ["{{ '{:1000000000d}'.format(1) }}", 'it grows to more than'],
    ["{{ 'a'.zfill(10 ** 9) }}", 'it grows to more than'],
    ["{{ 'a' | indent(10 ** 9) }}", 'it grows to more than'],
    ['{{ 10 ** (10 ** 10) }}', 'it computes an integer of more than 4300 digits'],
    ['{% set ns = namespace(n=10) %}{% for i in range(20) %}{% set ns.n = ns.n * ns.n %}{% endfor %}', 'it computes an integer'],
    ['{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', 'it '],
    ['{% set l = [] %}{% do l.append(l) %}{{ l }}', 'it is nested too deeply'],
    [`{{ ${'('.repeat(20_000)} }}`, 'it has a syntax error'],
    [`{{ ${'('.repeat(20_000)}1${')'.repeat(20_000)} }}`, 'it is nested too deeply'],
    ['{% if 1 %}'.repeat(20_000), 'it is nested too deeply'],
  ])('%.60s', (template, expected) => expect(refusal(template)).toContain(`cannot be rendered: ${expected}`));
});
