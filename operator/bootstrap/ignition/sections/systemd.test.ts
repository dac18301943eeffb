import { mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { document, namesOf, planOf, refusalOf, scriptOf, written } from '../testing.ts';

const units = (...list: object[]) => document({ systemd: { units: list } });
const SERVICE = '[Service]\nExecStart=/bin/true\n';

test('files, drop-ins and presets', () => {
  const text = units(
    { name: 'a.service', enabled: true, contents: SERVICE, dropins: [{ name: '10-x.conf', contents: 'y' }, { name: '20.conf' }] },
    { name: 'echo@b.service', enabled: true },
    { name: 'echo@a.service', enabled: true },
    { name: 'there.service', contents: '' },
  );
  expect(written(text)).toEqual([
    ['/etc/systemd/system/a.service.d/10-x.conf', '644', undefined, 'y'],
    ['/etc/systemd/system/a.service', '644', undefined, SERVICE],
    ['/etc/systemd/system-preset/20-ignition.preset', '644', undefined, 'enable a.service\nenable echo@.service b a\n'],
  ]);
  expect(namesOf(text).at(-1)).toBe('systemd.units a.service, echo@b.service, echo@a.service');
});

test('2.x: a unit is enabled by either word, and what is empty is not written', () => {
  const text = document(
    {
      systemd: {
        units: [
          { name: 'a.service', enable: true, dropins: [{ name: 'x.conf', contents: '' }] },
          { name: 'b.service', mask: false },
        ],
      },
    },
    '2.3.0',
  );
  expect(written(text)).toEqual([['/etc/systemd/system-preset/20-ignition.preset', '644', undefined, 'enable a.service\n']]);
  expect(namesOf(text)).toEqual(['ignition checks', 'systemd.units presets', 'systemd.units', 'systemd.units a.service']);
});

test.each([
  [{ name: 'a' }, 'systemd.units[0].name (line 8): is not the name of a unit'],
  [{ name: '../a.service' }, 'systemd.units[0].name (line 8): is not the name of a unit'],
  [{ name: 'a@.service', enabled: true }, 'systemd.units[0].enabled (line 9): a template is not enabled'],
  [{ name: 'a.service', dropins: [{ name: 'x' }] }, 'systemd.units[0].dropins[0].name (line 11): is not the name of a drop-in'],
  [{ name: 'a.service', enabled: 'yes' }, 'systemd.units[0].enabled (line 9): expected boolean'],
])('%j is refused', (unit, message) => expect(refusalOf(units(unit))).toContain(message));

(canSandbox ? describe : describe.skip).each(SHELLS)('on a host, under %s', (shell) => {
  /** Its systemctl answers as the unit's name says; a boot starts what the files of /graph lead to. */
  function hostWithSystemd(
    graph: Record<string, string> = { 'default.target': 'Wants=a.service b.service bad.service a\\x2db.mount' },
  ): Sandbox {
    const host = new Sandbox();
    for (const [name, lines] of Object.entries(graph)) {
      const properties = lines.includes('Id=') ? lines : `Id=${name}\n${lines}`;
      host.write(`/graph/${name}`, properties.includes('LoadState=') ? properties : `${properties}\nLoadState=loaded`);
    }
    mkdirSync(join(host.root, 'run/systemd/system'), { recursive: true });
    const body = `case "$*" in
list-units*) echo 'dev-vdb.device loaded active plugged QEMU_HARDDISK' ;;
*=Id,*)
  asked=$(echo "\${2#*=}" | tr , '|')
  shift 3
  for unit; do
    { cat "/graph/$unit" 2>/dev/null || printf 'Id=%s\\nLoadState=loaded\\n' "$unit"; } | grep -E "^($asked)="
    echo
  done
  ;;
*'=Id '*alias*) echo a.service ;;
*'=Id '*) shift 4 && printf '%s\\n' "$1" ;;
'cat '*also.service*) printf '[Install]\\nAlso=along.service %%i.socket\\nAlso= a.socket\\n' ;;
*LoadState*missing*) echo not-found ;;
*LoadState*masked*) echo masked ;;
*LoadState*) echo loaded ;;
*ActiveState*done*) printf 'ActiveState=active\\nSubState=exited\\n' ;;
*ActiveState*) printf 'ActiveState=inactive\\nSubState=dead\\n' ;;
'is-failed '*bad.service) exit 0 ;;
is-failed*) exit 1 ;;
*Result*) echo exit-code ;;
esac`;
    host.stub('systemctl', body);
    host.stub('journalctl', 'echo its last words');
    return host;
  }
  const calls = (host: Sandbox, verbs: RegExp) => host.calls().filter((call) => verbs.test(call));

  test('masks', () => {
    using host = new Sandbox();
    const path = join(host.root, 'etc/systemd/system/a.service');
    host.write('/etc/systemd/system/a.service', 'x');
    host.run(scriptOf(units({ name: 'a.service', mask: true }), 'a.service mask'), shell);
    expect(readlinkSync(path)).toBe('/dev/null');
    host.run(scriptOf(units({ name: 'a.service', contents: 'x' }), 'room'), shell);
    expect(() => readlinkSync(path)).toThrow('ENOENT');
    for (const target of ['/dev/null', '/elsewhere']) {
      symlinkSync(target, path);
      host.run(scriptOf(units({ name: 'a.service', mask: false }), 'a.service mask'), shell);
    }
    expect(readlinkSync(path)).toBe('/elsewhere');
  });

  test('what runs is told of its new files; what is masked or disabled stops', () => {
    using host = hostWithSystemd();
    const text = units(
      { name: 'a.service', enabled: true, contents: SERVICE },
      { name: 'missing.service', enabled: true },
      { name: 'b.service', mask: true },
      { name: 'c.service', enabled: false },
      { name: 'd.service', dropins: [{ name: 'x.conf', contents: 'y' }] },
      { name: 'e@.service', contents: SERVICE },
    );
    const last = planOf(text).steps.at(-2);
    expect(last?.kind === 'command' && host.run(last.script, shell).code).toBe(0);
    expect(calls(host, /^systemctl (?!show)/)).toEqual([
      'systemctl is-enabled c.service',
      'systemctl disable c.service',
      'systemctl daemon-reload',
      'systemctl preset --preset-mode=enable-only a.service',
      'systemctl stop b.service',
      'systemctl stop c.service',
      'systemctl try-restart d.service',
      'systemctl try-restart e@*.service',
    ]);
    expect(host.read('/etc/systemd/system-preset/20-ignition.preset')).toBe('disable c.service\n');
  });

  test('new units are started anew, others only started, and those that the host does not have are passed over', () => {
    using host = hostWithSystemd();
    const text = units(
      { name: 'a.service', enabled: true, contents: SERVICE },
      { name: 'b.service', enabled: true },
      { name: 'missing.service', enabled: true },
    );
    expect(host.run(scriptOf(text, 'a.service, b.service'), shell)).toEqual({
      code: 0,
      output: 'this host has no missing.service: it is not started\n',
    });
    expect(calls(host, /^systemctl (?:re)?start/).sort()).toEqual(['systemctl restart a.service', 'systemctl start b.service']);
  });

  /** Of the units of a document, those that are started, and what is said of the others. */
  function startedOf(graph: Record<string, string>, ...names: string[]): [started: string[], said: string] {
    using host = hostWithSystemd(graph);
    const { output } = host.run(scriptOf(units(...names.map((name) => ({ name, enabled: true }))), `systemd.units ${names[0]}`), shell);
    return [
      calls(host, /^systemctl start/)
        .join(' ')
        .split(' ')
        .slice(2),
      output,
    ];
  }

  test('only what a boot starts is started: by its target or by a device, in however many steps', () => {
    const graph = {
      'default.target': 'Wants=\nRequires=-.mount b.service\nId=graphical.target',
      'b.service': 'BindsTo=c\\x2dd.service\nConflicts=shutdown.target\nPropagatesStopTo=k.service\nConsistsOf=e.service',
      'c\\x2dd.service': 'Upholds=f@1.service graphical.target',
      'dev-vdb.device': 'Wants=g.service',
      'f@1.service': 'Wants=m.service',
      'm.service': 'LoadState=masked\nWants=h.service',
      'shutdown.target': 'Wants=i.service',
    };
    expect(startedOf(graph, 'b.service', 'c\\x2dd.service', 'f@1.service', 'g.service')).toEqual([
      ['b.service', 'c\\x2dd.service', 'f@1.service', 'g.service'],
      '',
    ]);
    expect(startedOf(graph, 'e.service', 'f@2.service', 'h.service', 'i.service')).toEqual([
      [],
      ['e.service', 'f@2.service', 'h.service', 'i.service']
        .map((name) => `no boot starts ${name}: it is enabled, and not started now\n`)
        .join(''),
    ]);
  });

  test('a unit by another name, and those that are enabled along with it', () => {
    const graph = { 'default.target': 'Wants=a.service also.service along.service' };
    expect(startedOf(graph, 'alias.service')).toEqual([['alias.service'], '']);
    expect(startedOf(graph, 'also.service')).toEqual([
      ['also.service', 'along.service'],
      'no boot starts a.socket: it is enabled, and not started now\n',
    ]);
  });

  test('what runs is told of its new files, and what the host has masked is left alone', () => {
    using host = hostWithSystemd({});
    const text = units({ name: 'a.service', enabled: true, contents: SERVICE }, { name: 'masked.service', enabled: true });
    expect(host.run(scriptOf(text, 'systemd.units a.service'), shell)).toMatchObject({ code: 0 });
    expect(calls(host, /^systemctl (?:re|try-re)?start/)).toEqual(['systemctl try-restart a.service']);
  });

  test('one that fails is named, with its last words', () => {
    using host = hostWithSystemd();
    const text = units({ name: 'a\\x2db.mount', enabled: true }, { name: 'bad.service', enabled: true });
    expect(host.run(scriptOf(text, 'bad.service'), shell)).toEqual({
      code: 1,
      output: 'its last words\nbad.service has failed: exit-code\n',
    });
    expect(calls(host, /^systemctl start/)).toEqual(['systemctl start a\\x2db.mount bad.service']);
  });

  test('the sentinel is not waited for where nothing is left that could write it', () => {
    using host = hostWithSystemd();
    const text = (name: string) => units({ name, enabled: true, contents: '# /run/cluster-api/bootstrap-success.complete' });
    expect(host.run(scriptOf(text('done.service'), 'until the end'), shell).code).toBe(0);
    expect(host.run(scriptOf(text('bad.service'), 'until the end'), shell)).toMatchObject({ code: 1 });
  });

  test('a host without systemd can not start units', () => {
    using host = new Sandbox();
    expect(host.run(scriptOf(units({ name: 'a.service', enabled: true }), 'checks'), shell)).toEqual({
      code: 1,
      output: 'this host is not run by systemd, which is to start units of the document\n',
    });
  });
});
