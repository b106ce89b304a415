import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Problem, Publication, Tenant, TenantState } from '@mandate/api';
import {
  emptyRole,
  nextRoot,
  parseRoot,
  parseSnapshot,
  parseTargets,
  parseTimestamp,
  sha256Of,
  withoutDelegation,
  type JsonObject,
} from '@mandate/metadata';
import { newSigner, Owner, publication, signed } from './owner.ts';
import { describeService, servedFile, type Answer } from './service.ts';

const year = 365 * 86_400_000;

describeService('publishing', (current) => {
  const file = (slug: string, name: string): Promise<Buffer> => servedFile(current().server.url, slug, name);

  function refused(answer: Answer<Publication & Problem>, status: number, code: string, role?: string): void {
    assert.equal(answer.body.code, code, JSON.stringify(answer.body));
    assert.equal(answer.status, status);
    assert.equal(answer.headers.get('content-type'), 'application/problem+json');
    if (role !== undefined) assert.equal(answer.body.role, role);
  }

  it('reserves a tenant, publishes it and serves what was signed, byte for byte', async () => {
    const { owner, slug, first } = await current().operator.tenant('acme', ['reserved', 'org']);
    assert.equal(slug, 'acme');
    const timestamp = parseTimestamp(await file(slug, 'timestamp.json'));
    assert.equal(timestamp.version, first.timestampVersion);
    assert.equal(timestamp.tenant, owner.genesis);
    assert.ok(timestamp.issued !== undefined && Math.abs(timestamp.issued - Date.now()) < 60_000);
    const bytes = await file(slug, `${first.snapshotVersion}.snapshot.json`);
    assert.equal(timestamp.snapshot.hashes?.sha256, sha256Of(bytes).slice(7));
    assert.equal(timestamp.snapshot.length, bytes.length);
    const snapshot = parseSnapshot(bytes);
    assert.deepEqual([...snapshot.roles.keys()], ['org', 'reserved', 'targets']);
    assert.equal((await file(slug, '1.root.json')).toString(), owner.rootText);
    assert.equal((await file(slug, 'root.json')).toString(), owner.rootText);
    assert.equal((await file(slug, '1.targets.json')).toString(), await owner.sign('targets'));
    assert.equal((await file(slug, '1.org.json')).toString(), await owner.sign('org'));
  });

  it('counts on by one, keeps old versions and shows the state', async () => {
    const { owner, slug, first } = await current().operator.tenant('counting', ['reserved', 'org']);
    const target = { length: 3, digest: sha256Of(Buffer.from('abc')) };
    const text = await owner.advance('org', new Map([['team/app/v1', target]]));
    const second = await current().operator.publish(slug, publication({ org: text }));
    assert.equal(second.status, 201);
    assert.deepEqual(second.body.versions, { org: 2 });
    assert.ok(second.body.snapshotVersion > first.snapshotVersion);
    assert.equal((await file(slug, '2.org.json')).toString(), text);
    assert.equal(parseTargets(await file(slug, '1.org.json')).version, 1);
    const old = parseSnapshot(await file(slug, `${first.snapshotVersion}.snapshot.json`));
    assert.equal(old.roles.get('org')?.version, 1);
    const state = await current().operator.call<TenantState>('GET', `/v1/tenants/${slug}`);
    assert.equal(state.status, 200);
    assert.equal(state.body.state, 'live');
    assert.equal(state.body.genesis, owner.genesis);
    assert.deepEqual(
      state.body.roles.map(({ name, version, threshold, delegator }) => [
        name,
        version,
        threshold,
        delegator,
      ]),
      [
        ['org', 2, 1, 'targets'],
        ['reserved', 1, 1, 'targets'],
        ['root', 1, 1, undefined],
        ['targets', 1, 1, undefined],
      ],
    );
    const again = await current().operator.call<Publication>('GET', `/v1/publications/${second.body.id}`);
    assert.deepEqual(again.body, second.body);
  });

  it('takes the same publication again, also long after', async () => {
    const { owner, slug } = await current().operator.tenant('again', ['reserved', 'org']);
    const request = publication({ org: await owner.advance('org') });
    const [one, two] = await Promise.all([
      current().operator.publish(slug, request),
      current().operator.publish(slug, request),
    ]);
    assert.deepEqual(new Set([one.status, two.status]), new Set([200, 201]));
    assert.deepEqual(one.body, two.body);
    const later = await current().operator.publish(slug, publication({ org: await owner.advance('org') }));
    assert.equal(later.status, 201);
    const third = await current().operator.publish(slug, request);
    assert.equal(third.status, 200);
    assert.deepEqual(third.body, one.body);
    assert.equal(parseTargets(await file(slug, '3.org.json')).version, 3);
  });

  it('refuses an id that another publication has, and goes on', async () => {
    const { owner, slug } = await current().operator.tenant('ids', ['reserved', 'org', 'repo~a']);
    const other = await current().operator.tenant('ids2', ['reserved', 'org']);
    const request = publication({ org: await owner.advance('org') });
    assert.equal((await current().operator.publish(slug, request)).status, 201);
    const stolen = { ...publication({ org: await other.owner.advance('org') }), id: request.id };
    refused(await current().operator.publish(other.slug, stolen), 409, 'CONFLICT');
    const unused = { ...stolen, id: randomUUID() };
    assert.equal((await current().operator.publish(other.slug, unused)).status, 201);
    const sameTenant = { ...publication({ 'repo~a': await owner.advance('repo~a') }), id: request.id };
    refused(await current().operator.publish(slug, sameTenant), 409, 'CONFLICT');
  });

  it('tells the loser of a race the current versions', async () => {
    const { owner, slug } = await current().operator.tenant('race', ['reserved', 'org']);
    const rivals = [1, 2].map((n) =>
      owner.next('org', new Map([[`team/app/v${n}`, { length: n, digest: sha256Of(`${n}`) }]])),
    );
    const answers = await Promise.all(
      rivals.map(async (content) =>
        current().operator.publish(slug, publication({ org: await owner.sign('org', content) })),
      ),
    );
    const winner = answers.find(({ status }) => status === 201);
    const loser = answers.find(({ status }) => status !== 201);
    assert.ok(winner !== undefined && loser !== undefined);
    refused(loser, 409, 'CONFLICT');
    assert.deepEqual(loser.body.current, {
      snapshotVersion: winner.body.snapshotVersion,
      timestampVersion: winner.body.timestampVersion,
      versions: { org: 2 },
    });
  });

  it('refuses what its owner did not sign, whatever the grant says', async () => {
    const { owner, slug } = await current().operator.tenant('signatures', [
      'reserved',
      'org',
      'repo~a',
      'repo~b',
    ]);
    const content = owner.next('repo~a');
    const bySomebody = await signed(content, [newSigner('somebody')]);
    refused(
      await current().operator.publish(slug, publication({ 'repo~a': bySomebody })),
      422,
      'THRESHOLD_NOT_MET',
      'repo~a',
    );
    const byNeighbour = await signed(content, [owner.signerFor('repo~b')]);
    refused(
      await current().operator.publish(slug, publication({ 'repo~a': byNeighbour })),
      422,
      'THRESHOLD_NOT_MET',
      'repo~a',
    );
    const inWrongPlace = await owner.sign('repo~a', content);
    refused(
      await current().operator.publish(slug, publication({ 'repo~b': inWrongPlace })),
      400,
      'MALFORMED',
      'repo~b',
    );
    const expired = await owner.sign('repo~a', { ...content, expires: '2020-01-01T00:00:00Z' });
    refused(
      await current().operator.publish(slug, publication({ 'repo~a': expired })),
      422,
      'EXPIRED',
      'repo~a',
    );
    const skipped = await owner.sign('repo~a', { ...content, version: 3 });
    refused(
      await current().operator.publish(slug, publication({ 'repo~a': skipped })),
      409,
      'CONFLICT',
      'repo~a',
    );
    const pretty = JSON.stringify(JSON.parse(inWrongPlace), undefined, 1);
    refused(
      await current().operator.publish(slug, publication({ 'repo~a': pretty })),
      400,
      'MALFORMED',
      'repo~a',
    );
    const alien = await current().operator.tenant('alien', ['reserved', 'org']);
    const foreign = await alien.owner.sign('org', emptyRole('org', owner.genesis, 2, Date.now() + year));
    refused(
      await current().operator.publish(alien.slug, publication({ org: foreign })),
      400,
      'MALFORMED',
      'org',
    );
    assert.equal(
      (await current().operator.publish(slug, publication({ 'repo~a': inWrongPlace }))).status,
      201,
    );
  });

  it('refuses a role before its delegation, and takes both together', async () => {
    const { owner, slug } = await current().operator.tenant('delegating', ['reserved', 'org']);
    const early = emptyRole('repo~new', owner.genesis, 1, Date.now() + year);
    owner.signers.set('repo~new', newSigner('early'));
    refused(
      await current().operator.publish(
        slug,
        publication({ 'repo~new': await owner.sign('repo~new', early) }),
      ),
      400,
      'MALFORMED',
      'repo~new',
    );
    const delegated = await current().operator.publish(slug, publication(await owner.delegate('repo~new')));
    assert.deepEqual(delegated.body.versions, { targets: 2, 'repo~new': 1 });
    const content = owner.content.get('targets') as JsonObject;
    owner.content.set('targets', withoutDelegation({ ...content, version: 3 }, 'repo~new'));
    const undelegated = await current().operator.publish(
      slug,
      publication({ targets: await owner.sign('targets') }),
    );
    assert.equal(undelegated.status, 201, JSON.stringify(undelegated.body));
    const snapshot = parseSnapshot(await file(slug, `${undelegated.body.snapshotVersion}.snapshot.json`));
    assert.equal(snapshot.roles.get('repo~new')?.version, 1, 'its entry stays');
    refused(
      await current().operator.publish(slug, publication({ 'repo~new': await owner.advance('repo~new') })),
      400,
      'MALFORMED',
      'repo~new',
    );
  });

  it('splits a role into bins and publishes bins alone', async () => {
    const { owner, slug } = await current().operator.tenant('bins', ['reserved', 'org']);
    const split = await current().operator.publish(slug, publication(await owner.split('org', 4)));
    assert.equal(split.status, 201, JSON.stringify(split.body));
    const bin = await current().operator.publish(
      slug,
      publication({ 'bins~org-a': await owner.advance('bins~org-a') }),
    );
    assert.deepEqual(bin.body.versions, { 'bins~org-a': 2 });
    const snapshot = parseSnapshot(await file(slug, `${bin.body.snapshotVersion}.snapshot.json`));
    assert.equal(snapshot.roles.size, 19);
    assert.equal(snapshot.roles.get('bins~org-a')?.version, 2);
  });

  it('one bad member never fails the group', async () => {
    const roles = Array.from({ length: 16 }, (_, i) => `repo~r${String(i).padStart(2, '0')}`);
    const { owner, slug } = await current().operator.tenant('group', ['reserved', ...roles]);
    const answers = await Promise.all(
      roles.map(async (role, i) => {
        const text =
          i % 2 === 0 ? await owner.advance(role) : await signed(owner.next(role), [newSigner('x')]);
        return current().operator.publish(slug, publication({ [role]: text }));
      }),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      roles.map((_, i) => (i % 2 === 0 ? 201 : 422)),
    );
  });

  it('needs a root that names the online keys of the service', async () => {
    const reserved = await current().operator.call<Tenant>('POST', '/v1/tenants', { path: 'foreign' });
    assert.equal(reserved.status, 201);
    const { onlineKeys } = reserved.body;
    const repeated = await current().operator.call<Tenant>('POST', '/v1/tenants', { path: 'foreign' });
    assert.equal(repeated.status, 200);
    assert.deepEqual(repeated.body.onlineKeys, onlineKeys);
    const stranger = newSigner('stranger').publicKey.wire;
    const request = await new Owner().first({ ...onlineKeys, timestamp: { keyId: 'x', key: stranger } }, [
      'reserved',
      'org',
    ]);
    refused(await current().operator.publish('foreign', request), 422, 'THRESHOLD_NOT_MET', 'root');
    const missing = await fetch(`${current().server.url}/tuf/foreign/metadata/timestamp.json`);
    assert.equal(missing.status, 404);
    const right = await new Owner().first(onlineKeys, ['reserved', 'org']);
    const { files } = right;
    const withoutRoot = { ...right, files: files.filter(({ role }) => role !== 'root') };
    refused(await current().operator.publish('foreign', withoutRoot), 400, 'MALFORMED');
    assert.equal((await current().operator.publish('foreign', right)).status, 201);
    const taken = await current().operator.call<Problem>('POST', '/v1/tenants', { path: 'foreign' });
    assert.equal(taken.body.code, 'CONFLICT');
  });

  it('follows a root that changes its own keys, and refuses one that drops the online keys', async () => {
    const { owner, slug, first } = await current().operator.tenant('rotating', ['reserved', 'org']);
    const root = parseRoot(Buffer.from(owner.rootText));
    const heir = newSigner('heir');
    const keys = { keys: [heir.publicKey], threshold: 1 };
    const second = nextRoot(root, { root: keys }, Date.now() + year);
    const byOneSide = await signed(second, [heir]);
    refused(
      await current().operator.publish(slug, publication({ root: byOneSide })),
      422,
      'THRESHOLD_NOT_MET',
      'root',
    );
    const dropped = await signed(nextRoot(root, { timestamp: keys }, Date.now() + year), [owner.rootSigner]);
    refused(
      await current().operator.publish(slug, publication({ root: dropped })),
      422,
      'THRESHOLD_NOT_MET',
      'root',
    );
    const text = await signed(second, [owner.rootSigner, heir]);
    const rotated = await current().operator.publish(slug, publication({ root: text }));
    assert.deepEqual(rotated.body.versions, { root: 2 });
    assert.ok(rotated.body.snapshotVersion > first.snapshotVersion);
    assert.equal((await file(slug, '2.root.json')).toString(), text);
    assert.equal((await file(slug, 'root.json')).toString(), text);
    assert.equal((await file(slug, '1.root.json')).toString(), owner.rootText);
    const next = await current().operator.publish(slug, publication({ org: await owner.advance('org') }));
    assert.equal(next.status, 201);
    const both = nextRoot(parseRoot(Buffer.from(text)), {}, Date.now() + year);
    const together = publication({
      root: await signed(both, [heir]),
      targets: await owner.advance('targets'),
    });
    assert.deepEqual((await current().operator.publish(slug, together)).body.versions, {
      root: 3,
      targets: 2,
    });
  });

  it('serves target files that a role lists, and stores no others', async () => {
    const { owner, slug } = await current().operator.tenant('files', ['policy', 'reserved', 'org']);
    const content = Buffer.from('{"policy":true}');
    const entry = { length: content.length, digest: sha256Of(content) };
    const text = await owner.advance('policy', new Map([['~policy/default', entry]]));
    const unlisted = {
      ...publication({ policy: text }),
      targets: [{ path: '~policy/other', content: content.toString('base64') }],
    };
    refused(await current().operator.publish(slug, unlisted), 400, 'MALFORMED');
    const listed = {
      ...publication({ policy: text }),
      targets: [{ path: '~policy/default', content: content.toString('base64') }],
    };
    assert.equal((await current().operator.publish(slug, listed)).status, 201);
    const name = `${entry.digest.slice(7)}.default`;
    for (const folder of ['~policy', '%7Epolicy']) {
      const response = await fetch(`${current().server.url}/tuf/${slug}/targets/${folder}/${name}`);
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), content);
    }
  });
});
