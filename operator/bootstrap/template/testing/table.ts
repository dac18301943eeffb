/** Templates, and what Python's Jinja makes of them with cloud-init's settings: a test with the real cloud-init compares every row. */
import type { InstanceData } from '../../plan.ts';

export const INSTANCE: InstanceData = {
  hostname: 'h1',
  instanceID: 'i-1',
  failureDomain: 'z1',
  system: {
    kernelRelease: '6.1',
    architecture: 'x86_64',
    libc: 'glibc 2.36',
    release: { ID: 'debian', VERSION_ID: '12', VERSION_CODENAME: 'bookworm', VERSION: '12 (bookworm)', PRETTY_NAME: 'Debian 12' },
  },
};

export const RENDERED: [template: string, text: string][] = [
  // instance data
  ['{{ ds.meta_data.hostname }}', 'h1'],
  ['{{ ds.meta_data.local_hostname }}', 'h1'],
  ["{{ ds['meta_data']['local-hostname'] }}", 'h1'],
  ['{{ ds.meta_data.instance_id }} {{ v1.instance_id }} {{ instance_id }}', 'i-1 i-1 i-1'],
  ['{{ v1.availability_zone }} {{ v1.region }} {{ region }} {{ ds.meta_data.region }}', 'z1 z1 z1 z1'],
  ['{{ v1.cloud_name }} {{ v1.platform }}', 'remote remote'],
  ['{{ v1.kernel_release }} {{ machine }} {{ v1.hostname }}', '6.1 x86_64 h1'],
  ['{{ distro }} {{ v1.distro_version }} {{ v1.distro_release }} {{ variant }} {{ v1.subplatform }}', 'debian 12 bookworm debian unknown'],
  [
    "{{ system_platform }} {{ v1.public_ssh_keys }} {{ v1['cloud-name'] }} {{ cloud_id }}",
    'Linux-6.1-x86_64-with-glibc2.36 [] remote remote',
  ],
  ["{% if v1.distro == 'debian' %}apt{% else %}dnf{% endif %} {{ v1.distro | default('none') }}", 'apt debian'],
  ['{% if v1.nope is defined %}d{% else %}none{% endif %}{% for key in v1.public_ssh_keys %}k{% endfor %}', 'none'],
  ["{{ 'region' in v1 }} {{ v1.get('region') }} {{ v1.get('nope') }} {{ v1.get('nope', 'd') }}", 'True z1 None d'],
  ['{{ v1.keys() | list | length }}', '22'],
  // what does not exist
  [
    "{{ nope }} {{ v1.nope }} {{ v1['no pe'] }} {{ [1][5] }}",
    'CI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/no pe CI_MISSING_JINJA_VAR/5',
  ],
  [
    "{{ nope ~ 'a' }} {{ nope | upper }} {{ nope | replace('N', 'n') }} {{ '%s' % nope }}",
    'CI_MISSING_JINJA_VAR/nopea CI_MISSING_JINJA_VAR/NOPE CI_MISSInG_JInJA_VAR/nope CI_MISSING_JINJA_VAR/nope',
  ],
  [
    '{{ [nope] }} {{ nope | length }} {{ nope | list }} {{ nope | join }}|{{ nope is defined }} {{ not nope }}',
    '[Undefined] 0 [] |False True',
  ],
  ["{{ nope | default('x') }} {{ '' | default('x') }}|{{ '' | default('x', true) }} {{ none | d('x', boolean=true) }}", 'x |x x'],
  ["{{ 'x' if false }}|{{ ('x' if false) is defined }}|{{ ('x' if false) ~ 'y' }}", '|False|y'],
  ["{{ nope == other }} {{ nope in [1] }} {{ 'a' in nope }} {{ nope or 'y' }}", 'True False False y'],
  [
    "{{ 'a'.nope }} {{ none.x }} {{ {}.x }} {{ [].first }} {{ [] | first }} {{ 5['a'] }}",
    'CI_MISSING_JINJA_VAR/nope CI_MISSING_JINJA_VAR/x CI_MISSING_JINJA_VAR/x CI_MISSING_JINJA_VAR/first CI_MISSING_JINJA_VAR/None CI_MISSING_JINJA_VAR/a',
  ],
  ['{% for x in nope %}a{% else %}b{% endfor %}', 'b'],
  // how values are written
  ['{{ true }} {{ False }} {{ none }} {{ None }} {{ 1 == 2 }}', 'True False None None False'],
  [
    "{{ ['a', true, none, 1, 2.0, \"it's\", 'a\\nb', 'q\"', \"'\\\"\", []] }}",
    "['a', True, None, 1, 2.0, \"it's\", 'a\\nb', 'q\"', '\\'\"', []]",
  ],
  ["{{ {'a': 'b', 'c': {'d': [1, (2,)]}, 1: none} }}", "{'a': 'b', 'c': {'d': [1, (2,)]}, 1: None}"],
  ['{{ 1, 2 }} {{ (1,) }} {{ () }} {{ (1) }} {{ (1, 2)[1] }}', '(1, 2) (1,) () 1 2'],
  [
    '{{ 1e3 }} {{ 1.50 }} {{ 1e16 }} {{ 1.5e-7 }} {{ 0.1 + 0.2 }} {{ 123456789012345.6 }} {{ 1e22 }} {{ 0.0001 }} {{ -0.0 }}',
    '1000.0 1.5 1e+16 1.5e-07 0.30000000000000004 123456789012345.6 1e+22 0.0001 -0.0',
  ],
  ['{{ 1_000 }} {{ 0x1F }} {{ 0o17 }} {{ 0b11 }} {{ 1_0.5 }}', '1000 31 15 3 10.5'],
  [
    '{{ range(3) }} {{ range(1, 9, 3) }} {{ {"a": 1}.items() }} {{ {"a": 1}.keys() }} {{ {"a": 1}.values() }}',
    "range(0, 3) range(1, 9, 3) dict_items([('a', 1)]) dict_keys(['a']) dict_values([1])",
  ],
  ["{{ ['\\x07', 'é', '😀', '\\u200b', '\\xa0'] }}", "['\\x07', 'é', '😀', '\\u200b', '\\xa0']"],
  ['{{ 2 ** 100 }} {{ 100000000000000000000 * 3 }}', '1267650600228229401496703205376 300000000000000000000'],
  // texts
  ["{{ 'a\\tb\\x41\\u00e9\\\\\\'' }} {{ '\\d\\-\\.' }} {{ 'a\\\nb' }}", "a\tbAé\\' \\d\\-\\. ab"],
  ["{{ 'a' 'b' \"c\" }} {{ 'a}}b' }} {{ '{% raw %}' }} {{ \"{#\" }}", 'abc a}}b {% raw %} {#'],
  [
    "{{ 'abcdef'[1:4] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-2:] }} {{ 'abcdef'[4:1:-2] }} {{ 'abc'[0] }}{{ 'abc'[-1] }}",
    'bcd fedcba ef ec ac',
  ],
  ["{{ 'é😀x' | length }} {{ 'é😀x'[1] }} {{ 'é😀x' | reverse }}", '3 😀 x😀é'],
  ["{{ 'ab' * 3 }} {{ 2 * 'ab' }} {{ 'a' + 'b' }} {{ 'ab' in 'cabd' }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }}", 'ababab abab ab True True True'],
  ["{{ true ~ 'a' ~ none ~ 1 ~ 2.0 ~ [1] }}", 'TrueaNone12.0[1]'],
  // numbers
  ['{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}', '3 -4 1 2 -2 3.0 0.5'],
  ['{{ 4 / 2 }} {{ 1 / 3 }} {{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 5 - -3 }} {{ +4 }}', '2.0 0.3333333333333333 1024 64 4 8 4'],
  ['{{ 1 + 2 * 3 - 4 }} {{ (1 + 2) * 3 }} {{ 10 // 3 % 2 }} {{ 7 * 2 // 3 }} {{ 10 - 2 - 3 }}', '3 9 1 4 5'],
  ["{{ (1 + 2) ~ 'x' }} {{ 'x' ~ (3 * 4) }} {{ 2 * 3 ~ 'x' }}", '3x x12 6x'],
  ['{{ true + 1 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 < 2 == true }}', '2 True True True False False'],
  [
    "{{ 1 == '1' }} {{ [1] == [1.0] }} {{ (1, 2) == [1, 2] }} {{ [1, 2] < [1, 3] }} {{ {'a': 1} == {'a': true} }}",
    'False True False True True',
  ],
  [
    '{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 42 | round }} {{ 2.1 | round(0, "ceil") }} {{ 2.19 | round(1, method="floor") }} {{ -0.5 | round(0, "ceil") }}',
    '2.0 4.0 2.67 42 3.0 2.1 0.0',
  ],
  [
    "{{ '42' | int }} {{ ' 4.7 ' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ '0x1f' | int(base=16) }} {{ -3.9 | int }} {{ none | int }} {{ '1_0' | int }} {{ true | int }}",
    '42 4 0 7 31 -3 0 10 1',
  ],
  ["{{ '3' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ '1e3' | float }} {{ 5 | float }}", '3.0 0.0 1.5 1000.0 5.0'],
  ['{{ -5 | abs }} {{ -1.5 | abs }} {{ [3, 1, 2] | max }} {{ [3, 1, 2] | min }} {{ [1, 2.5] | sum }} {{ [] | sum }}', '5 1.5 3 1 3.5 0'],
  // and, or, not, in, if
  ["{{ true and 'x' }} {{ 0 or 'd' }} {{ '' or none }} {{ 0 or false }} {{ not 1 }} {{ not not 'a' }}", 'x d None False False True'],
  ['{{ 1 or 2 and 3 }} {{ not true == false }} {{ not 1 in [2] }}', '1 True True'],
  [
    "{{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 2 in range(3) }} {{ 1 in (1,) }} {{ true in [1] }}",
    'True True True True True True',
  ],
  ["{{ 'a' if 1 else 'b' }} {{ 'a' if false else 'b' if false else 'c' }} {{ ('a' if 0 else 'b') ~ 'c' }}", 'a c bc'],
  ["{% if 0 %}a{% elif '' %}b{% elif [0] %}c{% else %}d{% endif %}", 'c'],
  ["{% if ds.meta_data.zone == 'a' %}A{% else %}B{% endif %}{% if not nope %}C{% endif %}", 'BC'],
  // formats
  ["{{ '%02d-%s' % (3, 'x') }} {{ '%5.2f|%-5s|%5s|%x|%X' % (2.345, 'ab', 'cd', 255, 255) }}", '03-x  2.35|ab   |   cd|ff|FF'],
  ["{{ 'node-%03d' | format(7) }} {{ '%s=%s' | format('a', [1]) }} {{ '%(a)s' | format(a=1) }}", 'node-007 a=[1] 1'],
  [
    "{{ '%d%%' % 5.9 }} {{ '%r' % 'x' }} {{ '%+d% d' % (5, 6) }} {{ '%05.1f' % -2.25 }} {{ '%.2s' % 'abc' }} {{ '%(a)s' % {'a': none} }}",
    "5% 'x' +5 6 -02.2 ab None",
  ],
  [
    "{{ '{}-{}'.format('a', 7) }} {{ '{1}{0}{n}'.format('a', 'b', n=1) }} {{ '{:02d}|{:>4}|{:<4}|{:.1f}'.format(7, 'a', 'b', 2.25) }} {{ '{{}}{!r}'.format('x') }}",
    "a-7 ba1 07|   a|b   |2.2 {}'x'",
  ],
  // methods of texts
  ["{{ 'aB'.upper() }} {{ 'aB'.lower() }} {{ 'aB c'.capitalize() }} {{ \"it's me\".title() }}", "AB ab Ab c It'S Me"],
  ["{{ ' x '.strip() }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ 'xxaxx'.strip('x') }}", 'x|x | x|a'],
  [
    "{{ 'a b  c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a.b.c'.rsplit('.', 1)[1] }} {{ v1.local_hostname.split('h') }}",
    "['a', 'b', 'c'] ['a', 'b', '', 'c'] ['a', 'b,c'] c ['', '1']",
  ],
  ["{{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'abab'.replace('a', 'x') }} {{ 'abab'.replace('a', 'x', 1) }}", "['a', 'b', 'c'] xbxb xbab"],
  [
    "{{ v1.local_hostname.startswith('h') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.find('c') }} {{ 'abc'.find('z') }} {{ 'aba'.count('a') }}",
    'True True 2 -1 2',
  ],
  [
    "{{ ', '.join(['a', 'b']) }} {{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ '12'.isdigit() }} {{ '1a'.isdigit() }}",
    'a, b 007 -007 True False',
  ],
  // methods of lists and dicts
  [
    '{% set l = [1] %}{% do l.append(2) %}{% do l.extend([3, 4]) %}{% do l.insert(0, 0) %}{{ l }} {{ l.pop() }} {{ l.index(3) }} {{ l.count(1) }} {{ l }}',
    '[0, 1, 2, 3, 4] 4 3 1 [0, 1, 2, 3]',
  ],
  [
    "{% set d = {'a': 1} %}{% do d.update({'b': 2}, c=3) %}{% do d.update(a=0) %}{{ d }} {{ d.b }} {{ d['c'] }} {{ d.get('z') }}",
    "{'a': 0, 'b': 2, 'c': 3} 2 3 None",
  ],
  ["{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{{ {'a': 1}.values() | list }}", 'a=1;b=2;[1]'],
  [
    "{{ dict(a=1) }} {{ dict([('a', 1)]) }} {{ dict({'a': 1}, b=2) }} {{ {'a': {'b': [5]}}.a.b.0 }}",
    "{'a': 1} {'a': 1} {'a': 1, 'b': 2} 5",
  ],
  [
    '{{ [1, 2, 3][-2:] }} {{ [1, 2, 3][::2] }} {{ (1, 2, 3)[:2] }} {{ [1] + [2] }} {{ [0] * 3 }} {{ (1,) + (2,) }}',
    '[2, 3] [1, 3] (1, 2) [1, 2] [0, 0, 0] (1, 2)',
  ],
  ["{{ {'items': 1}['items'] }} {{ {'a-b': 1}['a-b'] }} {{ {1: 'a', 1.0: 'b', true: 'c'} }}", "1 1 {1: 'c'}"],
  ['{% set l = [1, 2] %}{% for x in l %}{{ x }}{% if l | length < 4 %}{% do l.append(x + 2) %}{% endif %}{% endfor %}', '1234'],
  // filters
  [
    "{{ ['x', 'y'] | join('+') }} {{ [1, none, true] | join }} {{ 'abc' | join('-') }} {{ [{'n': 1}, {'n': 2}] | join(',', attribute='n') }}",
    'x+y 1NoneTrue a-b-c 1,2',
  ],
  [
    "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(width=2, blank=True) }}|{{ 'a\\nb' | indent('> ') }}",
    'a\n    b\n\n    c|  a\n  b|a\n  \n  b|a\n> b',
  ],
  [
    "{{ [3, 1, 2] | sort }} {{ ['b', 'A'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ [{'a': 2}, {'a': 1}] | sort(attribute='a') }}",
    "[1, 2, 3] ['A', 'b'] ['A', 'b'] [2, 1] [{'a': 1}, {'a': 2}]",
  ],
  [
    "{{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value', reverse=true) }}",
    "[('A', 2), ('b', 1)] [('a', 2), ('b', 1)]",
  ],
  [
    "{{ [1, 2, 3, 4] | select('even') | list }} {{ [1, 2, 3] | reject('gt', 1) | list }} {{ [0, 1, ''] | select | list }}",
    '[2, 4] [1] [1]',
  ],
  [
    "{{ [{'a': 1, 'b': 2}, {'b': 3}] | selectattr('a', 'defined') | map(attribute='b') | list }} {{ [{'a': 'x'}, {'a': 'y'}] | rejectattr('a', 'eq', 'x') | list }}",
    "[2] [{'a': 'y'}]",
  ],
  [
    "{{ ['a', 'b'] | map('upper') | join }} {{ [[1], [2, 3]] | map('length') | list }} {{ [{}] | map(attribute='x', default='d') | list }} {{ ['1'] | map('int') | sum }}",
    "AB [1, 2] ['d'] 1",
  ],
  [
    "{{ [1, 2] | first }} {{ [1, 2] | last }} {{ 'abc' | first }} {{ [1, 2] | reverse | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ {'a': 1} | items | list }}",
    "1 2 a [2, 1] ['a', 'b'] [('a', 1)]",
  ],
  [
    "{{ {'b': 1, 'a': [1, 2.0, none, true, '<é>&\\'\"']} | tojson }}",
    '{"a": [1, 2.0, null, true, "\\u003c\\u00e9\\u003e\\u0026\\u0027\\""], "b": 1}',
  ],
  [
    "{{ [1, {'a': []}, {'b': {}}] | tojson(indent=2) }}|{{ {'a': [1]} | tojson(2) | indent(4) }}",
    '[\n  1,\n  {\n    "a": []\n  },\n  {\n    "b": {}\n  }\n]|{\n      "a": [\n        1\n      ]\n    }',
  ],
  [
    "{{ 'a-b' | replace('-', '_') | upper }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 5 | replace(5, 6) }} {{ 'ABC' | lower }}",
    'A_B bba 6 abc',
  ],
  [
    "{{ \"it's a-b\" | title }} {{ 'aBC' | capitalize }} {{ ' a ' | trim }}|{{ 'xax' | trim('x') }} {{ 5 | string ~ 'x' }} {{ 'abc' | list }} {{ 'abc' | count }}",
    "It's A-B Abc a|a 5x ['a', 'b', 'c'] 3",
  ],
  [
    "{{ ['b', 'C'] | max }} {{ [{'v': 2}, {'v': 1}] | min(attribute='v') }} {{ [{'v': 2}, {'v': 1}] | sum(attribute='v') }} {{ [1] | sum(start=5) }} {{ '<b>' | safe }}",
    "C {'v': 1} 3 6 <b>",
  ],
  ["{% set g = [1, 2] | map('string') %}{{ g | list }}{{ g | list }}", "['1', '2'][]"],
  // tests
  [
    '{{ 3 is odd }} {{ 3 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is in [1, 2] }} {{ 1 is not in [1] }}',
    'True False True False True False',
  ],
  [
    "{{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ true is boolean }} {{ none is none }} {{ 1 is true }}",
    'True True True False True True True False',
  ],
  [
    "{{ {} is mapping }} {{ [] is sequence }} {{ 'a' is sequence }} {{ {}.items() is sequence }} {{ [] is iterable }} {{ 1 is iterable }} {{ range is callable }}",
    'True True True False True False True',
  ],
  [
    "{{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 2 is gt 1 }} {{ 1 is lessthan(2) }} {{ 'a' is equalto 'a' }} {{ 'A' is upper }} {{ 'a1' is lower }}",
    'True True True True True True True',
  ],
  ["{{ nope is undefined }} {{ nope is not defined and true }} {{ 1 + 1 is odd }} {{ 'a' if nope is defined else 'b' }}", 'True True 2 b'],
  // loops
  ['{% for i in range(3) %}{{ i }}{% endfor %}{{ range(5, 0, -2) | list }}{{ range(5)[2] }}', '012[5, 3, 1]2'],
  [
    '{% for x in [5, 6, 7] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}',
    '1032TrueFalse3 2121FalseFalse3 3210FalseTrue3 ',
  ],
  [
    "{% for x in 'abc' %}{{ x }}{{ loop.cycle('-', '+') }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
    'a-CI_MISSING_JINJA_VAR/Noneb b+ac c-bCI_MISSING_JINJA_VAR/None ',
  ],
  [
    '{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}',
    '1234123',
  ],
  [
    '{% for i in range(6) if i is odd %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}',
    '1/3:1 2/3:3 3/3:5 none',
  ],
  ['{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ j }}{% endfor %}{{ loop.index }}{% endfor %}', '1324113242'],
  ['{% for k in {"a": 1, "b": 2} %}{{ k }}{% if not loop.last %}, {% endif %}{% endfor %}', 'a, b'],
  ['{% for x in [3, 1] | sort %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}', '1312'],
  // scopes
  ['{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 2 %}{{ x }}{% endfor %}{{ x }}', '12121'],
  ['{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}', '2'],
  [
    '{% set ns = namespace(n=0, l=[]) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.l }}{{ ns.nope }}',
    '6[]CI_MISSING_JINJA_VAR/nope',
  ],
  ['{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, 2 %}{{ t }}', '12(1, 2)'],
  [
    '{% set x %}a{{ 1 }}{% set y = 2 %}{% endset %}{{ x }}{{ y }}{% set z | upper | replace("A", "b") %}a{{ 1 }}{% endset %}{{ z }}',
    'a1CI_MISSING_JINJA_VAR/yb1',
  ],
  ['{% with a = 1, b = 2 %}{{ a + b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}', '3CI_MISSING_JINJA_VAR/aCI_MISSING_JINJA_VAR/c'],
  ['{% set a = 5 %}{% with a = 1, b = a %}{{ b }}{% endwith %}{% with %}{{ a }}{% endwith %}', '55'],
  ['{% filter upper %}a{{ "b" }}{% set q = 1 %}{% endfilter %}{{ q }}', 'ABCI_MISSING_JINJA_VAR/q'],
  ['{% for i in [1] %}{% set v = i %}{% endfor %}{{ v }}{% set range = 5 %}{{ range }}', 'CI_MISSING_JINJA_VAR/v5'],
  // macros
  [
    "{% macro m(a, b=2) %}{{ a }}-{{ b }};{% endmacro %}{{ m(1) }}{{ m(b=5, a=1) }}{{ m() }}{{ m('x', none) }}",
    '1-2;1-5;CI_MISSING_JINJA_VAR/a-2;x-None;',
  ],
  ['{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}', '3210'],
  ['{% macro m(a, b=a ~ 1) %}{{ b }}{{ x }}{% endmacro %}{% set x = 9 %}{{ m(5) }}{{ m(5) | length }}', '5193'],
  ['{% for i in [1] %}{% set x = 3 %}{% macro m() %}{{ i }}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}', '13False'],
  ['{% macro m(x) %}\n  {{ x }}\n{% endmacro %}\n[{{ m(1) }}]', '[  1\n]'],
  // white space and comments
  ['{% if true %}\nx\n{% endif %}\ny\n', 'x\ny\n'],
  ['a {#- c -#} b', 'ab'],
  ['a\n{# c #}\nb {# c #} c\n', 'a\nb  c\n'],
  ['{% raw %}{{ .Values.x }} {% if %}{% endraw %}', '{{ .Values.x }} {% if %}'],
  ['{%- raw -%}  {{ a }}  {%- endraw -%}  b', '{{ a }}b'],
  ['${NAME:-}\n${A%}\n${B#}\n{ { } }\n', '${NAME:-}\n${A%}\n${B#}\n{ { } }\n'],
  ['{%+ if true +%}\nx{% endif %}', '\nx'],
  [' {%- if true -%} \n x {%- endif %} y ', 'x y '],
  ["{{- 'a' -}}  \n b\n {{- 'c' }}\n", 'abc\n'],
  ['{% set x = 1 -%}\n\n  {{ x }}', '1'],
  ['no newline', 'no newline'],
  ['a\r\nb\r\n', 'a\nb\n'],
  ['a\n\n', 'a\n\n'],
  ['\n', '\n'],
  ["{{\n  'a'\n  ~\n  'b'\n}}", 'ab'],
  ["{{ {'a': {'b': 1}}['a'] }}", "{'b': 1}"],
  ["{# {{ 'a' }} {% if %} #}x", 'x'],
  ["{% set a = {'}}': '%}'} %}{{ a }}", "{'}}': '%}'}"],
];
