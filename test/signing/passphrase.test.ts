import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultConfigFolder, defaultKeyFolder, fixedPassphrase, passphraseFrom } from '@mandate/signing';
import { rejectsWith, withFolder } from './key-fixture.ts';

describe('signing: passphrase sources', () => {
  const open = { purpose: 'open', subject: 'release' } as const;
  const imported = { purpose: 'import', subject: 'old.pem' } as const;
  const asked: string[] = [];
  const prompt = async ({ subject }: { subject: string }): Promise<string> => {
    asked.push(subject);
    return 'typed';
  };

  it('takes the environment before the file before the prompt', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'passphrase');
      await writeFile(file, 'from a file \n');
      const env = { MANDATE_PASSPHRASE: 'from env', MANDATE_PASSPHRASE_FILE: file };
      assert.equal(await passphraseFrom(env, prompt)(open), 'from env');
      assert.equal(await passphraseFrom({ ...env, MANDATE_PASSPHRASE: '' }, prompt)(open), 'from a file ');
      assert.deepEqual(asked, []);
      assert.equal(await passphraseFrom({}, prompt)(open), 'typed');
      assert.deepEqual(asked, ['release']);
    });
  });

  it('a file being imported has a variable of its own', async () => {
    const source = passphraseFrom({ MANDATE_PASSPHRASE: 'stored', MANDATE_IMPORT_PASSPHRASE: 'theirs' });
    assert.equal(await source(imported), 'theirs');
    assert.equal(await source({ purpose: 'create', subject: 'new' }), 'stored');
    await rejectsWith('PASSPHRASE_NEEDED', passphraseFrom({ MANDATE_PASSPHRASE: 'stored' })(imported));
  });

  it('refuses when unattended and nothing is set, when the file is absent, and when nothing is typed', async () => {
    await rejectsWith('PASSPHRASE_NEEDED', passphraseFrom({})(open));
    await rejectsWith(
      'PASSPHRASE_NEEDED',
      passphraseFrom({ MANDATE_PASSPHRASE_FILE: '/nowhere/at/all' })(open),
    );
    await rejectsWith('PASSPHRASE_NEEDED', passphraseFrom({}, async () => undefined)(open));
    await rejectsWith('PASSPHRASE_NEEDED', fixedPassphrase('')(open));
    await rejectsWith('MALFORMED', fixedPassphrase('x'.repeat(1025))(open));
  });

  it('finds the configuration folder', () => {
    assert.equal(defaultConfigFolder({ MANDATE_CONFIG: '/m', XDG_CONFIG_HOME: '/x', HOME: '/h' }), '/m');
    assert.equal(defaultConfigFolder({ XDG_CONFIG_HOME: '/x', HOME: '/h' }), join('/x', 'mandate'));
    assert.equal(defaultConfigFolder({ XDG_CONFIG_HOME: 'x', HOME: '/h' }), join('/h', '.config', 'mandate'));
    assert.equal(defaultKeyFolder({ HOME: '/h' }), join('/h', '.config', 'mandate', 'keys'));
  });
});
