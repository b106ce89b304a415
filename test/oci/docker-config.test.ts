import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { dockerConfigPath, dockerCredentials, parseRegistryHost } from '@mandate/oci';
import type { Credentials } from '@mandate/oci';
import { rejectsCode } from './expect-code.ts';

const secret = 'hunter2';

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function shown(credentials: Credentials | undefined): string | undefined {
  if (credentials === undefined) return undefined;
  return credentials.kind === 'password'
    ? `${credentials.username}:${credentials.password.reveal()}`
    : `token ${credentials.token.reveal()}`;
}

describe('docker credentials', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mandate-docker-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function ask(
    config: unknown,
    registry = 'r.example',
    helperTimeoutMs = 20_000,
  ): Promise<Credentials | undefined> {
    const configFile = join(folder, 'config.json');
    await writeFile(configFile, typeof config === 'string' ? config : JSON.stringify(config));
    const source = dockerCredentials({
      configFile,
      env: { PATH: `${folder}:/usr/bin:/bin`, FOLDER: folder },
      helperTimeoutMs,
    });
    return source(parseRegistryHost(registry));
  }

  async function helper(name: string, script: string): Promise<void> {
    const path = join(folder, `docker-credential-${name}`);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
  }

  it('finds the file by DOCKER_CONFIG, else at home', () => {
    assert.equal(dockerConfigPath({ DOCKER_CONFIG: '/etc/d' }, '/home/u'), '/etc/d/config.json');
    assert.equal(dockerConfigPath({ DOCKER_CONFIG: '' }, '/home/u'), '/home/u/.docker/config.json');
    assert.equal(dockerConfigPath({}, '/home/u'), '/home/u/.docker/config.json');
  });

  it('is anonymous without a file, and without an entry', async () => {
    const source = dockerCredentials({ configFile: join(folder, 'none.json'), env: {} });
    assert.equal(await source(parseRegistryHost('r.example')), undefined);
    assert.equal(await ask({}), undefined);
    assert.equal(await ask({ auths: { 'r.example': {} } }), undefined);
    assert.equal(await ask({ auths: { 'other.example': { auth: base64('u:p') } } }), undefined);
    assert.equal(await ask({ auths: { 'r.example:5000': { auth: base64('u:p') } } }), undefined);
  });

  it('reads auths: base64, fields, identity token', async () => {
    assert.equal(shown(await ask({ auths: { 'r.example': { auth: base64('u:p:q') } } })), 'u:p:q');
    assert.equal(shown(await ask({ auths: { 'r.example': { auth: base64('u:p\0\0') } } })), 'u:p');
    assert.equal(shown(await ask({ auths: { 'r.example': { username: 'u', password: 'p' } } })), 'u:p');
    const both = { auth: base64('u:p'), identitytoken: 'idt' };
    assert.equal(shown(await ask({ auths: { 'r.example': both } })), 'token idt');
  });

  it('finds older spellings of a host, the exact one first', async () => {
    assert.equal(
      shown(await ask({ auths: { 'https://r.example/v1/': { auth: base64('u:old') } } })),
      'u:old',
    );
    const auths = { 'https://r.example': { auth: base64('u:old') }, 'r.example': { auth: base64('u:new') } };
    assert.equal(shown(await ask({ auths })), 'u:new');
    assert.equal(
      shown(await ask({ auths: { 'https://index.docker.io/v1/': { auth: base64('u:hub') } } }, 'docker.io')),
      'u:hub',
    );
    assert.equal(
      await ask({ auths: { 'https://r.example.evil/r.example': { auth: base64('u:p') } } }),
      undefined,
    );
    assert.equal(await ask('{"auths":{"__proto__":{"auth":"dTpw"}}}'), undefined);
  });

  it('asks the helper with the raw server name, and prefers it to auths', async () => {
    await helper(
      'one',
      'read server; echo "{\\"ServerURL\\":\\"x\\",\\"Username\\":\\"$1\\",\\"Secret\\":\\"$server\\"}"',
    );
    await helper('all', 'echo \'{"Username":"all","Secret":"s"}\'');
    const config = {
      credsStore: 'all',
      credHelpers: { 'r.example': 'one', 'docker.io': 'one', 'plain.example': '' },
      auths: { 'r.example': { auth: base64('u:p') }, 'plain.example': { auth: base64('u:p') } },
    };
    assert.equal(shown(await ask(config)), 'get:r.example');
    assert.equal(shown(await ask(config, 'docker.io')), 'get:https://index.docker.io/v1/');
    assert.equal(shown(await ask(config, 'else.example:5000')), 'all:s');
    assert.equal(shown(await ask(config, 'plain.example')), 'u:p');
  });

  it('takes the user <token> for an identity token', async () => {
    await helper(
      'one',
      'cat >/dev/null; echo \'{"ServerURL":"r.example","Username":"<token>","Secret":"idt"}\'',
    );
    assert.equal(shown(await ask({ credsStore: 'one' })), 'token idt');
  });

  it('is anonymous on the exact not-found message alone', async () => {
    await helper('one', 'echo "credentials not found in native keychain"; exit 1');
    assert.equal(
      await ask({ credsStore: 'one', auths: { 'r.example': { auth: base64('u:p') } } }),
      undefined,
    );
    for (const said of [
      'Credentials not found in native keychain',
      'no credentials server URL',
      'credentials not found',
      '',
    ]) {
      await helper('one', `echo "${said}"; exit 1`);
      await rejectsCode(ask({ credsStore: 'one' }), 'CREDENTIALS_FAILED');
    }
    await helper('one', 'echo "credentials not found in native keychain" >&2; exit 1');
    await rejectsCode(ask({ credsStore: 'one' }), 'CREDENTIALS_FAILED');
    await helper('one', 'echo "credentials not found in native keychain"');
    await rejectsCode(ask({ credsStore: 'one' }), 'CREDENTIALS_FAILED');
  });

  it('survives helpers that are absent, silent, endless, huge or killed', async () => {
    await rejectsCode(ask({ credsStore: 'absent' }), 'CREDENTIALS_FAILED');
    for (const name of ['../evil', 'a/b', '-x', 'a b', 'x'.repeat(100)])
      await rejectsCode(ask({ credsStore: name }), 'CREDENTIALS_FAILED');
    // The child of the helper keeps the pipe open after the helper was killed.
    await helper('slow', 'sleep 3 & wait');
    const started = performance.now();
    await rejectsCode(ask({ credsStore: 'slow' }, 'r.example', 300), 'CREDENTIALS_FAILED');
    assert.ok(performance.now() - started < 2500);
    await helper('huge', 'while :; do echo 0123456789012345678901234567890123456789; done');
    await rejectsCode(ask({ credsStore: 'huge' }), 'CREDENTIALS_FAILED');
    await helper('killed', 'kill -9 $$');
    await rejectsCode(ask({ credsStore: 'killed' }), 'CREDENTIALS_FAILED');
    for (const answer of ['', 'null', '[]', '{}', '{"Username":1,"Secret":"x"}', '{"Username":"u"}']) {
      await helper('odd', `echo '${answer}'`);
      await rejectsCode(ask({ credsStore: 'odd' }), 'CREDENTIALS_FAILED');
    }
  });

  it('refuses a broken file', async () => {
    const broken = [
      '',
      '[]',
      '"x"',
      '{"auths":[]}',
      '{"auths":{"r.example":"x"}}',
      '{"auths":{"r.example":{"auth":"!!"}}}',
      '{"credsStore":1}',
    ];
    for (const config of [...broken, `{"x":"${'x'.repeat(1024 * 1024)}"}`])
      await rejectsCode(ask(config), 'CREDENTIALS_FAILED');
  });

  it('never shows a secret', async () => {
    await helper('leak', `echo "${secret}"; echo "${secret}" >&2; exit 1`);
    await helper('text', `echo "${secret}"`);
    const errors = [
      await rejectsCode(ask({ credsStore: 'leak' }), 'CREDENTIALS_FAILED'),
      await rejectsCode(ask({ credsStore: 'text' }), 'CREDENTIALS_FAILED'),
      await rejectsCode(ask(`{"auths":{"r.example":{"auth":"${secret}" x}}}`), 'CREDENTIALS_FAILED'),
      await rejectsCode(ask({ auths: { 'r.example': { auth: `${secret}!` } } }), 'CREDENTIALS_FAILED'),
    ];
    for (const error of errors) assert.ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret));
    const credentials = await ask({ auths: { 'r.example': { auth: base64(`u:${secret}`) } } });
    assert.equal(shown(credentials), `u:${secret}`);
    assert.ok(!inspect(credentials, { depth: 10, showHidden: true }).includes(secret));
    assert.ok(!JSON.stringify(credentials).includes(secret));
    assert.ok(!String(credentials?.kind === 'password' ? credentials.password : '').includes(secret));
  });
});
