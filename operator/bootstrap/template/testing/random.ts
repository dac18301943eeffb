/** Jinja templates made at random of what Jinja can do, to be rendered alone: most are wrong, as to Python. */
import fc from 'fast-check';

const one = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);
const list = (items: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.array(items, { maxLength: 3 }).map((all) => all.join(', '));
/** `f(a, b)` of the template `f(#, #)`. */
const filled = (shapes: string[], part: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(fc.constantFrom(...shapes), fc.array(part, { minLength: 3, maxLength: 3 }))
    .map(([shape, parts]) => parts.reduce((text, value) => text.replace('#', () => value), shape));

const numbers = one('0', '1', '2', '3', '7', '-1', '10', '0.5', '2.0', '-2.5', '1e3', '0.125', '1_0', '0x1f', '100000000000000000000');
const texts = one(
  ...["''", "'a'", "'ab'", "'B'", '"it\'s"', "'a,b,c'", "' x y '", "'10'", "'-3.7'", "'%02d'", "'%s-%s'", "'{}-{:>4}'", "'é😀'"],
  ...["'a\\nb\\n\\nc'", "'\\x41\\u00e9\\t'", "'<&>'", "'CI'", "'a' 'b'"],
);
const names = one('x', 'n', 's', 'l', 'd', 'ns.v', 'v1.local_hostname', 'instance_id', "ds.meta_data['local-hostname']", 'nope', 'v1.nope');
const constants = one('true', 'false', 'none', 'True', 'None', '()', '[]', '{}', 'range(3)', 'range(5, 0, -2)');

const OPERATIONS = [
  ...['# + #', '# - #', '# * #', '# / #', '# // #', '# % #', '# ** 2', '# ~ #', '# ~ # + #', '-#', '- # | abs', 'not #', '(#)'],
  ...['# == #', '# != #', '# < #', '# <= #', '# > #', '# < # < #', '# in #', '# not in #', '# and #', '# or #', '# and # or #'],
  ...['# if # else #', '# if #', '#[#]', '#[#:]', '#[:#]', '#[::-1]', '#[#:#]', '#.x', '#.0', "#['x']", '#, #', '(#,)', '[#, #]'],
  ...["{'x': #}", "{'x': #, #: #}", 'dict(x=#)', '# is defined', '# is not defined', '# is none', '# is number', '# is string'],
  ...['# is divisibleby 2', '# is divisibleby(#)', '# is odd', '# is even', '# is mapping', '# is sequence', '# is iterable', '# is in #'],
  ...['# is eq #', '# is lt(#)', '# is true', '# is integer', '# is float', '# is boolean', '# is upper', '# is lower', '# is callable'],
];
const FILTERS = [
  ...[
    '# | abs',
    '# | capitalize',
    '# | count',
    '# | d(#)',
    '# | default(#, true)',
    '# | dictsort',
    '# | first',
    '# | float',
    '# | float(#)',
  ],
  ...['# | format(#)', '# | format(#, #)', '# | indent', '# | indent(2, true)', '# | indent(#, blank=true)', '# | int', '# | int(#)'],
  ...[
    '# | int(base=16)',
    '# | items | list',
    '# | join',
    '# | join(#)',
    "# | join(', ')",
    '# | last',
    '# | length',
    '# | list',
    '# | lower',
  ],
  ...["# | map('upper') | list", "# | map(attribute='x') | list", "# | map(attribute='x', default=#) | list", "# | map('int') | join('+')"],
  ...['# | max', '# | min', "# | reject('odd') | list", "# | rejectattr('x') | list", '# | replace(#, #)', "# | replace('a', #, 1)"],
  ...['# | reverse', '# | reverse | list', '# | round', '# | round(1)', "# | round(0, 'floor')", "# | round(1, 'ceil')", '# | safe'],
  ...['# | select | list', "# | select('gt', #) | list", "# | selectattr('x') | list", "# | selectattr('x', 'eq', #) | list", '# | sort'],
  ...[
    '# | sort(reverse=true)',
    "# | sort(attribute='x')",
    '# | sort(case_sensitive=true)',
    '# | string',
    '# | sum',
    "# | sum(attribute='x')",
  ],
  ...[
    '# | title',
    '# | tojson',
    '# | tojson(indent=2)',
    '# | tojson | indent(2)',
    '# | trim',
    "# | trim('a')",
    '# | unique | list',
    '# | upper',
  ],
];
const METHODS = [
  ...['#.upper()', '#.title()', '#.capitalize()', '#.strip()', "#.strip('a')", '#.split()', "#.split(',')", "#.split(',', 1)"],
  ...["#.rsplit(',', 1)", '#.splitlines()', '#.replace(#, #)', "#.replace('a', 'xx', 1)", '#.startswith(#)', "#.endswith(('a', 'b'))"],
  ...['#.find(#)', '#.count(#)', '#.join(#)', '#.format(#, #)', '#.zfill(5)', '#.isdigit()', '#.index(#)', '#.pop()', '#.get(#)'],
  ...['#.get(#, #)', '#.items() | list', '#.keys()', '#.values() | list', '#.lstrip()', '#.rstrip()'],
  ...["'%s' % #", "'%d' % #", "'%5.1f|%-4s|%04d' % (#, #, #)", "'%x' % #", "'%r' % (#,)", "'{}'.format(#)", "'{:05.2f}'.format(#)"],
  ...["'{0} {0!r}'.format(#)", "'{:>6}'.format(#)", "'%s' | format(#)"],
];

const { value } = fc.letrec<{ value: string }>((tie) => {
  const part = tie('value');
  const leaf = fc.oneof(numbers, texts, names, constants);
  return {
    value: fc.oneof(
      { maxDepth: 2, depthSize: 'small' },
      { weight: 3, arbitrary: leaf },
      { weight: 3, arbitrary: filled(OPERATIONS, part) },
      { weight: 2, arbitrary: filled(FILTERS, part) },
      { weight: 2, arbitrary: filled(METHODS, part) },
      { weight: 1, arbitrary: list(part).map((all) => `[${all}]`) },
    ),
  };
});

const STATEMENTS = [
  '{{ # }}',
  '{{- # -}}',
  ' {{ # }} ',
  '\n{% set x = # %}\n{{ x }}',
  '{% set a, b = # %}{{ b }}{{ a }}',
  '{% set x %} a{{ # }}\n{% endset %}{{ x }}',
  '{% set s | upper %}{{ # }}{% endset %}',
  '{% set ns.v = # %}',
  '{% do l.append(#) %}',
  '{% do l.extend(#) %}',
  '{% do l.insert(#, #) %}',
  '{% do d.update(x=#) %}',
  '{% do d.update({#: #}) %}',
  '{% if # %}yes{% else %}no{% endif %}',
  '{% if # %}\n1{% elif # -%}\n 2{% else %}{% set x = # %}{% endif %}',
  '{% for x in # %}{{ x }}{{ loop.index }}{% if not loop.last %},{% endif %}{% else %}none{% endfor %}',
  '{% for i in # if i %}{{ i }}{{ loop.length }}{{ loop.revindex }}{{ loop.first }}{{ loop.cycle(1, 2) }}{% set x = # %}{% endfor %}',
  '{% for a, b in # %}{{ a }}={{ b }}{{ x }}{% endfor %}',
  '{% for i in # %}{% set ns.v = ns.v ~ i %}{% for j in # %}{{ loop.index0 }}{{ loop.previtem }}{{ loop.nextitem }}{% endfor %}{% endfor %}',
  '{% for i in l %}{% do l.append(i) if l | length < 5 %}{{ i }}{% endfor %}',
  '{% with x = #, y = x %}{{ x }}{{ y }}{% set n = # %}{% endwith %}{{ n }}',
  '{% filter upper %}a{{ # }}{% endfilter %}',
  '{% filter indent(2, true) %}a\n{{ # }}\n{% endfilter %}',
  '{% macro m(a, b=#) %}{{ a }}/{{ b }}/{{ x }}{% endmacro %}{{ m(#) }}{{ m() }}{{ m(b=#, a=1) }}',
  '{% raw %}{{ # }}{% endraw %}',
  '{%- raw -%} {{ # }} {%- endraw -%} ',
  '{# # #}',
  '\n{#- # -#}\n ',
  '\n  ',
  'text\n',
  '${A:-}\n${B%}\n',
  '{% set g = l | map("string") %}{% do l.append(#) %}{{ g | list }}{{ g | list }}',
];
/** What the names stand for that are no instance data. */
const PRELUDE =
  "{% set x = 5 %}{% set n = 3 %}{% set s = 'text' %}{% set l = [3, 1, 2] %}{% set d = {'x': 1, 'b': [2]} %}{% set ns = namespace(v=0) %}";

export const anyTemplate: fc.Arbitrary<string> = fc
  .array(filled(STATEMENTS, value), { minLength: 1, maxLength: 2 })
  .map((parts) => PRELUDE + parts.join(''));

export const randomTemplates = (count: number, seed: number): string[] => fc.sample(anyTemplate, { numRuns: count, seed });
