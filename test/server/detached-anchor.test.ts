/** Anchors of private tenants: who stores them, what is refused, and that nobody else hears of it. */
import assert from 'node:assert/strict';
import type { AuditPage, Problem, StoredAnchor, Tenant } from '@mandate/api';
import { anchorPath, parseTimestamp, sha256Of, withoutTargets } from '@mandate/metadata';
import { anchorOf, detachedContent, detachedFile } from './anchors.ts';
import { newSigner, Owner, signed } from './owner.ts';
import { describeService, type Answer, type Client } from './service.ts';

const parentRoles = ['tenants', 'reserved', 'org'];

describeService('detached anchors', (current) => {
  let acme: Owner;
  let hidden: Owner;
  let ofParent: Client;
  let ofChild: Client;
  let reader: Client;

  before(async () => {
    const { operator } = current();
    ({ owner: acme } = await operator.tenant('acme', parentRoles));
    await operator.tenant('other', parentRoles);
    const create = { path: 'acme/hidden', visibility: 'private' };
    const { body } = await operator.call<Tenant>('POST', '/v1/tenants', create);
    hidden = new Owner();
    await operator.publish('acme~hidden', await hidden.first(body.onlineKeys, parentRoles));
    ofParent = await operator.with([{ tenant: 'acme', level: 'publisher' }]);
    ofChild = await operator.with([{ tenant: 'acme~hidden', level: 'owner' }]);
    reader = await operator.with([{ tenant: 'acme~hidden', level: 'reader' }]);
  });

  const put = (client: Client, metadata: string, segment = 'hidden') =>
    client.call<StoredAnchor & Problem>('PUT', `/v1/tenants/acme/anchors/${segment}`, { metadata });
  const outcome = ({ status, body }: Answer<Partial<Problem>>): string | number => body.code ?? status;
  const get = (client?: Client): Promise<Response> =>
    fetch(
      `${current().server.url}/tuf/acme/metadata/anchor~hidden.json`,
      client && { headers: { authorization: `Bearer ${client.token}` } },
    );
  const ofParentAlone = async (): Promise<string[]> => {
    const { operator, server } = current();
    const texts: string[] = [];
    for (const path of ['/v1/tenants/acme', '/v1/tenants/acme/feed', '/v1/tenants/acme/audit']) {
      const { body } = await operator.call('GET', path);
      texts.push(JSON.stringify(body));
    }
    const folder = `${server.url}/tuf/acme/metadata`;
    const timestamp = await (await fetch(`${folder}/timestamp.json`)).text();
    const version = parseTimestamp(Buffer.from(timestamp)).snapshot.version;
    for (const name of [`${version}.snapshot.json`, '1.root.json', '1.targets.json', '1.tenants.json']) {
      const response = await fetch(`${folder}/${name}`);
      assert.equal(response.status, 200, name);
      texts.push(await response.text());
    }
    return [...texts, timestamp];
  };

  it('are refused where a rule is broken, in the same words whether or not the child is there', async () => {
    const anchor = anchorOf(hidden);
    const build = (segment: string, ...more: [number?, Record<string, never>?]) =>
      detachedContent(acme, segment, anchor, ...more);
    const signers = [acme.signerFor('tenants')];
    const far = { expires: '2099-01-01T00:00:00Z' };
    const past = { expires: '2020-01-01T00:00:00Z' };
    const refused: [string, (segment: string) => Promise<string>][] = [
      ['MALFORMED', () => Promise.resolve('{}')],
      ['THRESHOLD_NOT_MET', (segment) => signed(build(segment), [newSigner('other')])],
      ['THRESHOLD_NOT_MET', (segment) => signed(build(segment), [])],
      ['MALFORMED', async (segment) => ` ${await signed(build(segment), signers)}`],
      ['MALFORMED', () => signed(build('elsewhere'), signers)],
      ['MALFORMED', (segment) => signed({ ...build(segment), 'x-mandate-tenant': hidden.genesis }, signers)],
      [
        'MALFORMED',
        (segment) => signed(withoutTargets(build(segment), new Set([anchorPath(segment)])), signers),
      ],
      ['EXPIRED', (segment) => signed({ ...build(segment), ...past }, signers)],
      ['MALFORMED', (segment) => signed({ ...build(segment), ...far }, signers)],
      ['LIMIT_EXCEEDED', (segment) => signed({ ...build(segment), 'x-more': 'x'.repeat(140_000) }, signers)],
    ];
    for (const [code, text] of refused) {
      const [theirs, nobodys] = [
        await put(ofParent, await text('hidden')),
        await put(ofParent, await text('absent'), 'absent'),
      ];
      assert.equal(outcome(theirs), code, theirs.body.detail);
      const plain = ({ body }: typeof theirs): string | undefined =>
        body.detail?.replaceAll('absent', 'hidden');
      assert.deepEqual([theirs.status, plain(theirs)], [nobodys.status, plain(nobodys)]);
    }
    const other = { ...anchor, genesis: acme.genesis };
    const foreign = await put(ofParent, await detachedFile(acme, 'hidden', other));
    assert.equal(outcome(foreign), 'MALFORMED');
    assert.equal((await get(ofChild)).status, 404);
  });

  it('are stored by publishers of the tenant above and owners of the one below, and seen by readers of it', async () => {
    const { operator } = current();
    const before = await ofParentAlone();
    const first = await detachedFile(acme, 'hidden', anchorOf(hidden));
    for (const level of ['publisher', 'reader'] as const) {
      const client = await operator.with([{ tenant: 'acme~hidden', level }]);
      assert.equal(outcome(await put(client, first)), 'NOT_FOUND');
    }
    assert.equal(
      outcome(await put(await operator.with([{ tenant: 'acme', level: 'reader' }]), first)),
      'FORBIDDEN',
    );
    assert.equal(outcome(await put(await operator.with([], true), first)), 'FORBIDDEN');
    const stored = await put(ofChild, first);
    assert.equal(stored.status, 201, JSON.stringify(stored.body));
    assert.deepEqual(stored.body, { version: 1, digest: sha256Of(Buffer.from(first)) });
    assert.equal((await put(ofParent, first)).status, 200, 'the same again');

    const answer = await get(reader);
    assert.deepEqual([answer.status, await answer.text()], [200, first]);
    for (const client of [undefined, ofParent]) assert.equal((await get(client)).status, 404);
    assert.deepEqual(await ofParentAlone(), before, 'nothing of the tenant above moved');
    const log = await ofChild.call<AuditPage>(
      'GET',
      '/v1/tenants/acme~hidden/audit?chain=administration&after=0',
    );
    const record = JSON.parse(log.body.entries.at(-1)?.record ?? '') as { action: string; anchor: unknown };
    assert.deepEqual(record.action, 'anchor');
    for (const path of ['/metrics', '/readyz', '/v1/openapi.json'])
      assert.ok(!(await (await fetch(`${current().server.url}${path}`)).text()).includes('hidden'), path);
  });

  it('follow one another, and never go back', async () => {
    const suspended = anchorOf(hidden, { status: 'suspended' });
    assert.equal(outcome(await put(ofParent, await detachedFile(acme, 'hidden', suspended))), 'CONFLICT');
    const changed = { ...anchorOf(hidden), rootDigest: acme.genesis };
    assert.equal(outcome(await put(ofParent, await detachedFile(acme, 'hidden', changed, 2))), 'MALFORMED');
    const rivals = await Promise.all(
      [suspended, anchorOf(hidden)].map(async (anchor) =>
        put(ofParent, await detachedFile(acme, 'hidden', anchor, 2)),
      ),
    );
    assert.deepEqual(rivals.map((one) => String(outcome(one))).toSorted(), ['201', 'CONFLICT']);
    const removed = await detachedFile(acme, 'hidden', anchorOf(hidden, { status: 'removed' }), 3);
    assert.equal(outcome(await put(ofParent, removed)), 201);
    assert.equal(outcome(await put(ofParent, await detachedFile(acme, 'hidden', suspended, 4))), 'MALFORMED');
    assert.equal(await (await get(reader)).text(), removed);
    assert.equal(outcome(await put(ofParent, removed, 'Hidden')), 'MALFORMED');
    assert.equal(outcome(await put(reader, removed, 'Hidden')), 'NOT_FOUND');
  });

  it('are neither stored nor served while the tenant above is restored from a backup', async () => {
    const before = await (await get(reader)).text();
    const begun = await current().operator.call('POST', '/v1/restore', { label: 'test' });
    assert.ok(begun.status < 300, JSON.stringify(begun.body));
    for (const client of [ofParent, ofChild]) assert.equal(outcome(await put(client, before)), 'READ_ONLY');
    assert.equal((await get(reader)).status, 503);
    assert.equal((await get(ofParent)).status, 404);
  });
});
