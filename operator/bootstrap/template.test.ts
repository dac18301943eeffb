import { BootstrapDataError } from './plan.ts';
import { renderTemplate } from './template.ts';

const instance = { hostname: 'h1', instanceID: 'i-1', failureDomain: 'z1', kernelRelease: '6.1', architecture: 'x86_64' };
const render = (text: string) => renderTemplate(text, instance).text;

test.each([
  ['{{ ds.meta_data.hostname }}', 'h1'],
  ['{{ ds.meta_data.local_hostname }}', 'h1'],
  ["{{ ds['meta_data']['local-hostname'] }}", 'h1'],
  ['{{ ds.meta_data.instance_id }} {{ v1.instance_id }} {{ instance_id }}', 'i-1 i-1 i-1'],
  ['{{ v1.availability_zone }}', 'z1'],
  ['{{ v1.cloud_name }} {{ v1.platform }}', 'remote remote'],
  ['{{ v1.local_hostname | upper }}', 'H1'],
  ['{{ v1.region }} {{ region }} {{ ds.meta_data.region }}', 'z1 z1 z1'],
  ['{{ v1.kernel_release }} {{ machine }} {{ v1.hostname }}', '6.1 x86_64 h1'],
  ['{% if v1.distro is defined %}d{% else %}none{% endif %}', 'none'],
  ["{% if ds.meta_data.zone == 'a' %}A{% else %}B{% endif %}", 'B'],
  ['{% for i in range(3) %}{{ i }}{% endfor %}', '012'],
  ['{% if true %}\nx\n{% endif %}\ny\n', 'x\ny\n'],
  ['a {#- c -#} b', 'ab'],
  ['{% raw %}{{ .Values.x }}{% endraw %}', '{{ .Values.x }}'],
  ['${NAME:-}\n${A%}\n${B#}\n', '${NAME:-}\n${A%}\n${B#}\n'],
  ["{{ 'a}}b' }}", 'a}}b'],
  ["{{ {'a': 'b'}['a'] }}", 'b'],
  ['{%+ if true +%}\nx{% endif %}', '\nx'],
  ['no newline', 'no newline'],
  // As Python writes values, which Jinja leaves it to.
  ['{{ true }} {{ 1 == 2 }} {{ none }} {{ v1.region is defined }}', 'True False None True'],
  ["{{ v1.local_hostname.startswith('h') }} {{ 4 / 2 }} {{ 0 or false }}", 'True 2.0 False'],
  [`{{ ['a', true, none, 1, 2.0, "it's", 'a\nb', []] }}`, `['a', True, None, 1, 2.0, "it's", 'a\\nb', []]`],
  ["{{ {'a': 'b', 'c': {'d': 1}} }} {{ v1.local_hostname.split('h') }}", "{'a': 'b', 'c': {'d': 1}} ['', '1']"],
  ["{{ true ~ 'a' ~ none ~ 1 }}{% if true %}{{ [false] }}{% endif %}", 'TrueaNone1[False]'],
  ["{{ 'x' if false }}|{{ 'x' if v1.region else 'y' }}", '|x'],
])('%s', (template, expected) => expect(render(template)).toBe(expected));

test('what does not exist is written as cloud-init writes it, and told', () => {
  const { text, findings } = renderTemplate("{{ nope }} {{ ds.meta_data.uuid }} {% if true %}{{ nope ~ '' }}{% endif %}", instance);
  expect(text).toBe('CI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/uuid CI_MISSING_JINJA_VAR/nope');
  expect(findings.map(({ reason, path }) => [reason, path])).toEqual([
    ['TemplateVariableMissing', 'nope'],
    ['TemplateVariableMissing', 'uuid'],
  ]);
});

test.each([
  ['a\n{{ secret', 'line 3: a tag of the Jinja template is not closed'],
  ["a\n{{ 'secret }}", 'line 3: a tag of the Jinja template is not closed'],
  ['a\n\n{{ secret secret }}', 'line 4: the Jinja template of the bootstrap data has a syntax error'],
  ['{% include "/etc/shadow" %}', 'line 2: the Jinja template of the bootstrap data has a statement that is not supported'],
  ['{% if secret %}', 'a block is not closed, or an expression cannot be evaluated'],
  ['{{ secret() }}', 'an expression with a filter, a method or an operator that cannot be evaluated'],
  ["a\n{% if true %}b{% else %}\n{{ 'x' }}{% endif %}\n{{ 'c' | secret }}", 'line 5: the Jinja template of the bootstrap data cannot'],
  ["{% macro m(x) %}\n{{ x.secret() }}\n{% endmacro %}\n{{ m('a') }}", 'line 3: the Jinja template of the bootstrap data cannot'],
  ['{% for a in range(9000) %}{% for b in range(9000) %}{{ b }}{% endfor %}{% endfor %}', 'it takes more than 200000 steps'],
  ['{{ v1.nothing.at_all }}', 'it asks for a member of nothing, which a machine here does not have'],
  ["{% if nothing['at_all'] is defined %}{% endif %}", 'it asks for a member of nothing, which a machine here does not have'],
  ["{{ nothing.upper() | default('x') }}", 'it asks for a member of nothing, which a machine here does not have'],
  ['{{ range(1000000000) }}', 'range() gives more than 10000 elements'],
  [
    `{% set ns = namespace(x='${'x'.repeat(64)}') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}`,
    'it grows to more than',
  ],
  ["{{ ''.constructor.constructor('return process')() }}", 'it asks for a member of constructor, which a machine here does not have'],
  [`{{ ${'('.repeat(20000)} }}`, 'is not closed'],
  [`{{ ${'('.repeat(20000)}1${')'.repeat(20000)} }}`, 'syntax error'],
])('%.60s is refused', (template, expected) => {
  let error: unknown;
  try {
    render(template);
  } catch (caught) {
    error = caught;
  }
  expect(error).toBeInstanceOf(BootstrapDataError);
  expect((error as BootstrapDataError).message).toContain(expected);
  expect((error as BootstrapDataError).message).not.toContain('secret');
});
