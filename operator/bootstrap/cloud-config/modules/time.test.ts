import { canSandbox, Sandbox, SHELLS } from '../../testing/sandbox.ts';
import { commandsOf, refusalOf } from '../testing.ts';

const script = (yaml: string) => commandsOf(yaml)[0]?.script ?? 'exit 9';

test.each([
  ['timezone: ../etc/shadow', 'timezone (line 1): is not the name of a time zone'],
  ['timezone: 3', 'timezone (line 1): expected a text, received number; quote it'],
  ['locale: "de DE"', 'locale (line 1): '],
  ['locale: [de_DE.UTF-8]', 'locale (line 1): expected the name of a locale, or false'],
  ['locale_configfile: locale.conf', 'locale_configfile (line 1): is not an absolute path'],
])('%s is refused', (yaml, message) => expect(refusalOf(yaml)).toContain(message));

test('nothing to do', () => expect(commandsOf('locale: false\ntimezone:\n')).toEqual([]));

(canSandbox ? describe : describe.skip).each(SHELLS)('under %s', (shell) => {
  test('the time zone as a link, its name where Debian has it', () => {
    using host = new Sandbox();
    host.write('/etc/debian_version', '12\n');
    expect(host.run(script('timezone: Etc/GMT+5'), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/timezone')).toBe('Etc/GMT+5\n');
    expect(host.run('readlink /etc/localtime').output).toBe('/usr/share/zoneinfo/Etc/GMT+5\n');
  });

  test('a copy stays a copy; elsewhere there is no file with the name', () => {
    using host = new Sandbox();
    host.write('/etc/localtime', 'old');
    expect(host.run(script('timezone: UTC'), shell).code).toBe(0);
    expect(host.run('cmp /etc/localtime /usr/share/zoneinfo/UTC && [ ! -L /etc/localtime ]').code).toBe(0);
    expect(host.exists('/etc/timezone')).toBe(false);
  });

  test('a zone that the host does not have', () => {
    using host = new Sandbox();
    expect(host.run(script('timezone: Mars/Olympus'), shell)).toEqual({
      code: 1,
      output: 'this host has no time zone Mars/Olympus (package tzdata)\n',
    });
    expect(host.exists('/etc/localtime')).toBe(false);
  });

  test('a locale in locale.conf keeps what else is there', () => {
    using host = new Sandbox();
    host.write('/etc/locale.conf', 'LANG=C\nLC_TIME=de_DE.UTF-8\n');
    expect(host.run(script('locale: en_GB.UTF-8'), shell)).toEqual({ code: 0, output: '' });
    expect(host.read('/etc/locale.conf')).toBe('LC_TIME=de_DE.UTF-8\nLANG=en_GB.UTF-8\n');
  });

  test('a locale on Debian is generated, unless it is there or in every libc', () => {
    using host = new Sandbox();
    host.write('/etc/debian_version', '12\n');
    host.stub('locale-gen');
    host.stub('update-locale');
    for (const name of ['de_DE.UTF-8', 'C.UTF-8']) expect(host.run(script(`locale: ${name}`), shell).code).toBe(0);
    host.write('/etc/default/locale', 'LANG="fr_FR.UTF-8"\n');
    expect(host.run(script('locale: fr_FR.UTF-8\nlocale_configfile: /etc/default/locale'), shell).code).toBe(0);
    const updated = (name: string) => `update-locale --locale-file=/etc/default/locale LANG=${name}`;
    expect(host.calls()).toEqual(['locale-gen de_DE.UTF-8', updated('de_DE.UTF-8'), updated('C.UTF-8'), updated('fr_FR.UTF-8')]);
  });
});
