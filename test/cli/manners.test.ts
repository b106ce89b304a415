import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync, chmodSync } from 'node:fs';
import { useWorld, type Person } from './world.ts';

const commands = [
  ['serve'],
  ['migrate'],
  ['login'],
  ['logout'],
  ['token', 'create'],
  ['token', 'list'],
  ['token', 'revoke'],
  ['trust', 'add'],
  ['trust', 'list'],
  ['trust', 'remove'],
  ['key', 'generate'],
  ['key', 'import'],
  ['key', 'list'],
  ['key', 'show'],
  ['tenant', 'create'],
  ['tenant', 'list'],
  ['tenant', 'show'],
  ['delegate'],
  ['undelegate'],
  ['renew'],
  ['sign'],
  ['unsign'],
  ['verify'],
  ['inspect'],
  ['status'],
  ['key', 'export'],
  ['key', 'impact'],
  ['proposal', 'list'],
  ['proposal', 'show'],
  ['proposal', 'sign'],
  ['proposal', 'withdraw'],
  ['proposal', 'rebase'],
  ['proposal', 'export'],
  ['proposal', 'sign-file'],
  ['proposal', 'import'],
  ['root', 'show'],
  ['root', 'propose'],
  ['revoke', 'key'],
  ['canary'],
] as const;

describe('cli: manners', () => {
  const world = useWorld();
  let somebody: Person;

  beforeEach(() => {
    somebody = world().person();
  });

  for (const command of commands) {
    it(`${command.join(' ')} --help has an example and --json`, async () => {
      const { code, stdout, stderr } = await somebody.try([...command, '--help']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.match(stdout, /^Example:\n {2}\$ mandate /m);
      assert.match(stdout, /^ {2}--json /m);
    });
  }

  it('prints its version, and help where nothing is asked', async () => {
    assert.equal((await somebody.try(['--version'])).stdout.trim(), '0.0.0');
    assert.match((await somebody.try(['--help'])).stdout, /verify/);
    assert.equal((await somebody.try([])).code, 2);
  });

  it('answers 2 to what cannot be meant, with an empty stdout', async () => {
    const wrong = [
      ['veryfy', 'x'],
      ['verify'],
      ['verify', 'a', 'b'],
      ['verify', '--no-such-option', 'x'],
      ['verify', 'Not A Reference'],
      ['verify', '--name', 'x:1', 'file'],
      ['key', 'generate', 'x', '--algorithm', 'rsa'],
      ['login', 'not a url', '--token-file', 'x'],
      ['login', 'http://user:secret@127.0.0.1:1', '--token-file', 'x'],
      ['trust', 'add', 'acme', '--url', 'http://127.0.0.1:1'],
      ['trust', 'add', 'acme', '--url', 'http://127.0.0.1:1', '--genesis', 'sha256:12'],
      ['tenant', 'create', 'acme'],
      ['delegate', 'acme', '**'],
    ];
    for (const args of wrong) {
      const { code, stdout, stderr } = await somebody.try(args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
      assert.notEqual(stderr, '', args.join(' '));
    }
  });

  it('says what is missing, and what to do next', async () => {
    for (const [code, ...args] of [
      ['NOT_LOGGED_IN', 'tenant', 'list'],
      ['NO_TENANT', 'status'],
      ['NO_TENANT', 'sign', '--tenant', 'acme', '--name', 'x:1', 'file'],
      ['KEY_NOT_FOUND', 'key', 'show', 'none'],
      ['FILE', 'login', 'http://127.0.0.1:1', '--token-file', '/does/not/exist'],
      ['FILE', 'key', 'import', 'x', '/does/not/exist'],
    ] as const) {
      const error = await somebody.fails(code, ...args);
      if (code !== 'FILE') assert.notEqual(error.next, undefined, args.join(' '));
    }
  });

  it('keeps a login that works, readable by its owner alone, and no other', async () => {
    const token = somebody.file('token', `mdt_${'0'.repeat(16)}_${'x'.repeat(43)}\n`);
    await somebody.fails('NOT_LOGGED_IN', 'login', world().url, '--token-file', token);
    await somebody.fails('UNREACHABLE', 'login', 'http://127.0.0.1:9', '--token-file', token);
    await somebody.do('login', `${world().url}/`, '--token-file', world().tokenFile);
    const path = somebody.path('config/logins.json');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.ok(readFileSync(path, 'utf8').includes(`"${world().url}"`));
    chmodSync(path, 0o644);
    await somebody.fails('CONFIGURATION', 'tenant', 'list');
  });

  it('takes the token from the environment', async () => {
    const token = readFileSync(world().tokenFile, 'utf8').trim();
    const unattended = world().person({ MANDATE_SERVICE: world().url, MANDATE_TOKEN: token });
    assert.deepEqual(await unattended.json('tenant', 'list'), { tenants: [] });
    await unattended.fails('NOT_LOGGED_IN', 'tenant', 'list', '--service', 'http://127.0.0.1:9');
    const byFile = world().person({ MANDATE_TOKEN_FILE: world().tokenFile });
    assert.deepEqual(await byFile.json('tenant', 'list', '--service', world().url), { tenants: [] });
  });

  it('never shows a token or passphrase', async () => {
    const token = readFileSync(world().tokenFile, 'utf8').trim();
    const secret = 'a passphrase that nobody may see';
    const person = world().person({ MANDATE_PASSPHRASE: secret, MANDATE_TOKEN: token });
    const runs = [
      await person.try(['login', world().url]),
      await person.try(['key', 'generate', 'k']),
      await person.try(['key', 'show', 'k', '--json']),
      await person.try(['tenant', 'list', '--service', 'http://127.0.0.1:9']),
    ];
    for (const { stdout, stderr } of runs) {
      assert.equal(stdout.includes(token) || stderr.includes(token), false);
      assert.equal(stdout.includes(secret) || stderr.includes(secret), false);
    }
  });

  it('refuses a damaged configuration, naming it', async () => {
    await somebody.do('key', 'list');
    await somebody.do('key', 'generate', 'k');
    writeFileSync(somebody.path('config/trust.json'), '{"tenants": [{}]}');
    await somebody.fails('CONFIGURATION', 'trust', 'list');
    await somebody.fails('CONFIGURATION', 'verify', 'registry.test/x:1');
  });

  it('lists and shows keys without opening them', async () => {
    await somebody.do('key', 'generate', 'one');
    await somebody.do('key', 'generate', 'two', '--algorithm', 'ecdsa-p256');
    delete somebody.env['MANDATE_PASSPHRASE'];
    const { keys } = await somebody.json<{ keys: { name: string; scheme: string }[] }>('key', 'list');
    assert.deepEqual(
      keys.map(({ name, scheme }) => [name, scheme]),
      [
        ['one', 'ed25519'],
        ['two', 'ecdsa-sha2-nistp256'],
      ],
    );
    const shown = await somebody.json<{ keyId: string; heldIn: string }>('key', 'show', 'one');
    assert.match(shown.keyId, /^[0-9a-f]{64}$/);
    assert.equal(shown.heldIn, 'file:one');
    await somebody.fails('PASSPHRASE_NEEDED', 'key', 'generate', 'three');
    await somebody.fails('KEY_EXISTS', 'key', 'generate', 'one');
  });
});
