/** What a registry lists, page by page: the real one, and some that lie. */
import assert from 'node:assert/strict';
import { parseReference, RegistryClient, Secret, type RegistryClientOptions } from '@mandate/oci';
import { pushImage } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { startRegistry, type RunningRegistry } from '../support/registry.ts';
import { rejectsCode } from './expect-code.ts';
import { HostileServer } from './hostile-server.ts';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('lists of a registry', () => {
  const hostile = new HostileServer();
  const clients: RegistryClient[] = [];

  before(() => hostile.start());
  after(() => hostile.stop());
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  function client(options: RegistryClientOptions = {}): RegistryClient {
    const made = new RegistryClient({ ...options, limits: { timeoutMs: 5_000 } });
    clients.push(made);
    return made;
  }

  describe('docker-registry', () => {
    let registry: RunningRegistry;
    before(async function () {
      needs(this, 'docker-registry');
      registry = await startRegistry();
    });
    after(() => registry?.stop());

    it('lists nothing, then repositories and their tags', async () => {
      const host = `127.0.0.1:${registry.port}`;
      const app = parseReference(`${host}/team/app`);
      assert.deepEqual(await all(client().repositories(app.registry)), []);
      await rejectsCode(all(client().tags(app)), 'NOT_FOUND');
      await pushImage(`${host}/team/app:v1`, 'one');
      await pushImage(`${host}/team/app:v2`, 'two');
      await pushImage(`${host}/other:v1`, 'one');
      assert.deepEqual(await all(client().repositories(app.registry)), ['other', 'team/app']);
      assert.deepEqual((await all(client().tags(app))).toSorted(), ['v1', 'v2']);
    });
  });

  /** Pages by the query that asks for them. */
  function serve(pages: ReadonlyMap<string, { body: unknown; link?: string }>): void {
    hostile.behave((request, response) => {
      const page = pages.get(request.path);
      const headers = page?.link === undefined ? {} : { link: page.link };
      response.writeHead(page === undefined ? 404 : 200, headers).end(JSON.stringify(page?.body));
    });
  }

  const place = () => parseReference(`${hostile.host}/team/app`);

  it('follows pages, wherever a proxy makes their links lead', async () => {
    serve(
      new Map([
        [
          '/v2/_catalog?n=1000',
          { body: { repositories: ['a', 'b'] }, link: '</v2/_catalog?last=b&n=1000>; rel="next"' },
        ],
        [
          '/v2/_catalog?last=b&n=1000',
          { body: { repositories: ['c'] }, link: '<http://inside.test/v2/_catalog?last=c>; rel=next' },
        ],
        ['/v2/_catalog?last=c', { body: { repositories: ['d'] } }],
        ['/v2/team/app/tags/list?n=1000', { body: { name: 'team/app', tags: null } }],
      ]),
    );
    assert.deepEqual(await all(client().repositories(place().registry)), ['a', 'b', 'c', 'd']);
    assert.deepEqual(await all(client().tags(place())), []);
  });

  it('refuses what is no list, names that are none, and pages that never end', async () => {
    const list = '/v2/team/app/tags/list?n=1000';
    for (const body of ['no list', { tags: 'v1' }, { tags: [1] }, {}, { tags: ['../v1'] }]) {
      serve(new Map([[list, { body }]]));
      await rejectsCode(all(client().tags(place())), 'MALFORMED');
    }
    for (const link of ['</v2/team/app/tags/list?n=1000>; rel="next"', '<nowhere>; rel="next"']) {
      serve(new Map([[list, { body: { tags: ['v1'] }, link }]]));
      await rejectsCode(all(client().tags(place())), 'MALFORMED');
    }
  });

  it('asks for a token for the list of repositories', async () => {
    hostile.behave((request, response) => {
      if (request.path.startsWith('/token')) {
        response.writeHead(200).end(JSON.stringify({ token: 'for-the-list' }));
      } else if (request.authorization === 'Bearer for-the-list') {
        response.writeHead(200).end(JSON.stringify({ repositories: ['a'] }));
      } else {
        const challenge = `Bearer realm="${hostile.url}/token",service="s",scope="repository:x:delete"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    });
    const credentials = () =>
      Promise.resolve({ kind: 'password' as const, username: 'u', password: new Secret('p') });
    assert.deepEqual(await all(client({ credentials }).repositories(place().registry)), ['a']);
    const asked = hostile.seen.find(({ path }) => path.startsWith('/token'))?.path ?? '';
    assert.equal(new URL(asked, hostile.url).searchParams.get('scope'), 'registry:catalog:*');
  });
});
