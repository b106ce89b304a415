/** `mandate import --registry`: what a real registry lists, and one that lies. */
import assert from 'node:assert/strict';
import { HostileServer } from '../oci/hostile-server.ts';
import { image, imageType, sha256 } from '../oci/sample-image.ts';
import { pushImage } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { startRegistry, type RunningRegistry } from '../support/registry.ts';
import { digestOf, type ImportSummary } from './images.ts';
import { useWorld, type Person } from './world.ts';

describe('cli: import from a registry', () => {
  const world = useWorld();

  async function tenantAt(name: string, prefix: string): Promise<Person> {
    const person = await world().operator('release', 'org');
    await person.do('tenant', 'create', name, '--key', 'release', '--prefix', prefix);
    await person.do('delegate', name, '**', '--key', 'org');
    return person;
  }

  describe('docker-registry', () => {
    let registry: RunningRegistry;
    let host: string;

    before(async function () {
      needs(this, 'docker-registry');
      registry = await startRegistry();
      host = `127.0.0.1:${registry.port}`;
    });
    after(() => registry?.stop());

    it('takes every tag below the path, later those that moved, and no other org', async () => {
      const alice = await tenantAt('acme', `${host}/acme`);
      for (const [name, content] of [
        ['acme/app:v1', 'one'],
        ['acme/app:v2', 'two'],
        ['acme/app:latest', 'two'],
        ['acme/team/tool:v1', 'three'],
        ['acmes/app:v1', 'four'],
        ['other/app:v1', 'five'],
      ] as const)
        await pushImage(`${host}/${name}`, content);
      const args = ['import', 'acme', '--registry', host];
      const first = await alice.json<ImportSummary>(...args);
      assert.deepEqual(
        [first.repositories, first.images, first.added, first.publications.length],
        [2, 4, 7, 1],
      );
      for (const name of ['app:v1', 'app:v2', 'app:latest', 'team/tool:v1'])
        assert.equal((await alice.verdict(`${host}/acme/${name}`)).code, 'VERIFIED', name);
      assert.deepEqual((await alice.json<ImportSummary>(...args)).publications, []);

      await pushImage(`${host}/acme/app:latest`, 'six');
      assert.equal((await alice.verdict(`${host}/acme/app:latest`)).code, 'DIGEST_MISMATCH');
      const moved = await alice.json<ImportSummary>(...args);
      assert.deepEqual([moved.added, moved.updated, moved.unchanged], [1, 1, 6]);
      assert.equal((await alice.verdict(`${host}/acme/app:latest`)).code, 'VERIFIED');
      await alice.fails('NOT_FOUND', 'import', 'acme', '--registry', `${host}/nobody`);
    });

    it('says the sizes of images that a list names', async () => {
      const alice = await tenantAt('listed', `${host}/listed`);
      const digest = await pushImage(`${host}/listed/app:v1`, 'listed');
      const absent = digestOf('absent');
      const list = alice.file('l', `app:v1@${digest}\napp:v2@${absent}\napp:v3@${digest} 7 text/plain\n`);
      await alice.fails('BAD_LINES', 'import', 'listed', '--from', list, '--registry', host);
      const incomplete = alice.file('l2', `app:v1@${digest}\napp:v2@${absent}\n`);
      const { code, stdout } = await alice.try([
        'import',
        'listed',
        '--from',
        incomplete,
        '--registry',
        host,
        '--json',
      ]);
      const { added, leftOut } = JSON.parse(stdout) as ImportSummary;
      assert.deepEqual([code, added, leftOut], [1, 2, [{ name: 'app:v2', code: 'NOT_FOUND' }]]);
      assert.equal((await alice.verdict(`${host}/listed/app:v1`)).code, 'VERIFIED');
    });
  });

  describe('one that lies', () => {
    const registry = new HostileServer();
    let alice: Person;

    before(async () => {
      await registry.start();
      alice = await tenantAt('lied', `${registry.host}/lied`);
    });
    after(() => registry.stop());

    /** @param announced by HEAD @param failures answers of 503 before each manifest is sent */
    function behave(announced: string, failures = 0): void {
      let failed = 0;
      registry.behave(({ method, path }, response) => {
        if (path.startsWith('/v2/_catalog')) {
          response.writeHead(200).end(JSON.stringify({ repositories: ['lied/app', 'lied/bare'] }));
        } else if (path.includes('/tags/list')) {
          const tags = path.includes('bare') ? [] : ['v1', 'gone'];
          response.writeHead(200).end(JSON.stringify({ tags }));
        } else if (path.endsWith('/gone')) {
          response.writeHead(404).end();
        } else if (failed < failures) {
          failed += 1;
          response.writeHead(503).end();
        } else if (method === 'HEAD') {
          const headers = { 'docker-content-digest': announced, 'content-length': String(image.length) };
          response.writeHead(200, { 'content-type': imageType, ...headers }).end();
        } else {
          response.writeHead(200, { 'content-type': imageType }).end(image);
        }
      });
    }

    it('is not believed: what it sends must be what it announced', async () => {
      behave(digestOf('another'));
      const args = ['import', 'lied', '--registry', registry.host, '--json'];
      const { code, stdout } = await alice.try(args);
      const { added, leftOut } = JSON.parse(stdout) as ImportSummary;
      assert.deepEqual([code, added], [1, 0]);
      assert.deepEqual(leftOut, [{ name: `app@${digestOf('another')}`, code: 'DIGEST_MISMATCH' }]);
    });

    it('is asked again where it fails, and a tag that was deleted meanwhile is not missed', async () => {
      behave(sha256(image), 1);
      const { added, leftOut } = await alice.json<ImportSummary>(
        'import',
        'lied',
        '--registry',
        registry.host,
      );
      assert.deepEqual([added, leftOut], [2, []]);
    });

    it('may not list its repositories', async () => {
      registry.behave((_request, response) => void response.writeHead(404).end());
      await alice.fails('NOT_FOUND', 'import', 'lied', '--registry', registry.host);
    });
  });
});
