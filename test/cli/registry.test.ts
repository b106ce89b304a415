import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { pushImage } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { startRegistry, type RunningRegistry } from '../support/registry.ts';
import { useWorld, type Person } from './world.ts';

describe('cli: images in a registry', () => {
  const world = useWorld();
  let registry: RunningRegistry;
  let host: string;
  let alice: Person;

  before(async function () {
    needs(this, 'docker-registry');
    registry = await startRegistry();
    host = `${registry.host}:${registry.port}`;
    alice = await world().operator('release');
    await alice.do('tenant', 'create', 'acme', '--key', 'release', '--prefix', `${host}/acme`);
    await alice.do('delegate', 'acme', '**', '--key', 'release');
  });
  after(() => registry?.stop());

  it('are signed and verified by tag, by digest, by both, and as latest', async () => {
    const digest = await pushImage(`${host}/acme/app:v1`, 'one');
    const signed = await alice.json<{ artifacts: [{ digest: string; mediaType: string }] }>(
      'sign',
      `${host}/acme/app:v1`,
    );
    assert.equal(signed.artifacts[0].digest, digest);
    assert.equal(signed.artifacts[0].mediaType, 'application/vnd.oci.image.manifest.v1+json');
    for (const reference of ['app:v1', `app@${digest}`, `app:v1@${digest}`])
      assert.equal((await alice.verdict(`${host}/acme/${reference}`)).code, 'VERIFIED', reference);
    await pushImage(`${host}/acme/app:latest`, 'two');
    assert.equal((await alice.verdict(`${host}/acme/app`)).code, 'NOT_SIGNED');
    await alice.do('sign', `${host}/acme/app`);
    assert.equal((await alice.verdict(`${host}/acme/app:latest`)).code, 'VERIFIED');
    const other = (await alice.verdict(`${host}/acme/app:latest@${digest}`)).code;
    assert.equal(other, 'DIGEST_MISMATCH');
  });

  it('are signed many at a time, in one publication', async () => {
    const references = [1, 2, 3].map((i) => `${host}/acme/many:${i}`);
    for (const reference of references) await pushImage(reference, reference);
    const { versions } = await alice.json<{ versions: object }>('sign', ...references);
    assert.deepEqual(Object.keys(versions), ['org']);
    for (const reference of references) assert.equal((await alice.verdict(reference)).code, 'VERIFIED');
  });

  it('keep their signature in another registry', async () => {
    const second = await startRegistry();
    try {
      const mirror = `${second.host}:${second.port}`;
      await pushImage(`${host}/acme/moved:1`, 'moved');
      await alice.do('sign', `${host}/acme/moved:1`);
      await pushImage(`${mirror}/mirrored/moved:1`, 'moved');
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
      const bob = world().person();
      const prefix = `${mirror}/mirrored`;
      await bob.do('trust', 'add', 'acme', '--url', world().url, '--genesis', genesis, '--prefix', prefix);
      assert.equal((await bob.verdict(`${prefix}/moved:1`)).code, 'VERIFIED');
    } finally {
      await second.stop();
    }
  });

  it('are refused where the registry is away, has no such image, or serves http from afar', async () => {
    const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
    const bob = world().person();
    const away = [
      '--prefix',
      '127.0.0.1:9/acme',
      '--prefix',
      'registry.invalid/acme',
      '--prefix',
      `${host}/acme`,
    ];
    await bob.do('trust', 'add', 'acme', '--url', world().url, '--genesis', genesis, ...away);
    assert.equal((await bob.verdict('127.0.0.1:9/acme/app:v1')).code, 'UNREACHABLE');
    assert.equal((await bob.verdict('registry.invalid/acme/app:v1')).code, 'UNREACHABLE');
    await bob.fails('NOT_FOUND', 'verify', `${host}/acme/no-such:1`);
  });

  it('are reached with the logins of docker', async () => {
    const guarded = await startRegistry({ users: new Map([['alice', 'secret']]) });
    try {
      const reference = `${guarded.host}:${guarded.port}/acme/app:v1`;
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
      const bob = world().person();
      const prefix = `${guarded.host}:${guarded.port}/acme`;
      await bob.do('trust', 'add', 'acme', '--url', world().url, '--genesis', genesis, '--prefix', prefix);
      assert.equal((await bob.verdict(reference)).code, 'FORBIDDEN');
      mkdirSync(bob.path('.docker'));
      const auth = Buffer.from('alice:secret').toString('base64');
      const auths = { [`${guarded.host}:${guarded.port}`]: { auth } };
      writeFileSync(bob.path('.docker/config.json'), JSON.stringify({ auths }));
      await bob.fails('NOT_FOUND', 'verify', reference);
    } finally {
      await guarded.stop();
    }
  });
});
