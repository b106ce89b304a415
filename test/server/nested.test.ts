import assert from 'node:assert/strict';
import {
  discoverySchema,
  type AnchorProposal,
  type AnchorState,
  type Problem,
  type ProposalProgress,
  type Tenant,
} from '@mandate/api';
import {
  anchorPath,
  anchorTarget,
  limits,
  sha256Of,
  wireText,
  withoutTargets,
  withTargets,
  type Anchor,
  type JsonObject,
} from '@mandate/metadata';
import { anchorOf } from './anchors.ts';
import { publication, signed } from './owner.ts';
import { Client, describeService } from './service.ts';

describeService('tenants below tenants', (current) => {
  let registry: Awaited<ReturnType<Client['tenant']>>;
  let child: Awaited<ReturnType<Client['tenant']>>;
  let other: Awaited<ReturnType<Client['tenant']>>;
  let childOwner: Client;
  let otherOwner: Client;

  before(async () => {
    const { operator } = current();
    registry = await operator.tenant('/', ['distrust', 'tenants', 'reserved']);
    child = await operator.tenant('acme', ['tenants', 'reserved']);
    other = await operator.tenant('other', ['tenants', 'reserved']);
    childOwner = await operator.with([{ tenant: 'acme', level: 'owner' }]);
    otherOwner = await operator.with([{ tenant: 'other', level: 'owner' }]);
  });

  const create = (client: Client, path: string, withoutParent?: boolean) =>
    client.call<Tenant & Problem>('POST', '/v1/tenants', {
      path,
      ...(withoutParent === undefined ? {} : { withoutParent }),
    });
  const codeOf = async (
    answer: Promise<{ status: number; body: { code?: string } }>,
  ): Promise<string | number> => {
    const { status, body } = await answer;
    return body?.code ?? status;
  };

  /** How the anchor of acme stands, as its owner is told. */
  const standing = async (): Promise<Partial<AnchorProposal>> =>
    (await childOwner.call<AnchorState>('GET', '/v1/tenants/acme/anchor')).body.proposal ?? {};

  it('are created by an operator, or by an owner of the one above', async () => {
    const { operator } = current();
    assert.equal(await codeOf(create(childOwner, 'acme/labs')), 201);
    assert.equal(await codeOf(create(childOwner, 'acme/labs')), 200);
    for (const path of ['mine', 'other/labs', 'nowhere/labs', '/', 'acme/labs/deeper']) {
      const asked =
        path === 'acme/labs/deeper' ? childOwner.with([{ tenant: 'acme', level: 'publisher' }]) : childOwner;
      assert.equal(await codeOf(create(await asked, path)), 'FORBIDDEN', path);
    }
    assert.equal(await codeOf(create(operator, 'nowhere/labs')), 'CONFLICT');
    assert.equal(await codeOf(create(childOwner, 'acme/more', true)), 'FORBIDDEN');
    assert.equal(await codeOf(create(operator, 'nowhere/labs', true)), 201);
    const deep = (count: number): string => Array.from({ length: count }, () => 'x').join('/');
    assert.equal(await codeOf(create(operator, deep(limits.tenantDepth - 1), true)), 201);
    assert.equal(await codeOf(create(operator, deep(limits.tenantDepth), true)), 'LIMIT_EXCEEDED');
  });

  const live = (): JsonObject => registry.owner.content.get('tenants') as JsonObject;
  const next = (segment: string, anchor: Anchor): JsonObject =>
    registry.owner.nextOf(live(), new Map([[anchorPath(segment), anchorTarget(anchor)]]));
  const propose = (client: Client, content: JsonObject, more: object = {}) =>
    client.call<ProposalProgress & Problem>('POST', '/v1/tenants/~/proposals', {
      files: [{ role: 'tenants', signed: wireText(content) }],
      ...more,
    });
  const root = () => ({
    path: anchorPath('acme'),
    content: Buffer.from(child.owner.rootText).toString('base64'),
  });

  it('are proposed to the one above by their owners, who may do nothing else there', async () => {
    const good = next('acme', anchorOf(child.owner));
    const stranger = await current().operator.with([{ tenant: 'acme', level: 'publisher' }]);
    assert.equal(await codeOf(propose(stranger, good)), 'NOT_FOUND');
    const elsewhere = childOwner.call<Problem>('POST', '/v1/tenants/other/proposals', {
      files: [{ role: 'tenants', signed: wireText(good) }],
    });
    assert.equal(await codeOf(elsewhere), 'NOT_FOUND');
    const refused: [string, JsonObject, object?][] = [
      ['the anchor of somebody else', next('other', anchorOf(other.owner))],
      ['another genesis', next('acme', anchorOf(child.owner, { genesis: other.owner.genesis }))],
      ['nothing', registry.owner.nextOf(live(), new Map())],
      [
        'two anchors',
        withTargets(good, new Map([[anchorPath('more'), anchorTarget(anchorOf(other.owner))]])),
      ],
      ['a member', { ...good, 'x-more': 1 }],
      [
        'a sooner expiry',
        { ...good, expires: new Date(Date.now() + 60_000).toISOString().replace(/\.\d+/, '') },
      ],
      ['another role', good, { files: [{ role: 'distrust', signed: wireText(good) }] }],
      ['two files', good, { files: [1, 2].map(() => ({ role: 'tenants', signed: wireText(good) })) }],
      ['other target files', good, { targets: [{ ...root(), path: anchorPath('other') }] }],
    ];
    for (const [what, content, more] of refused)
      assert.equal(await codeOf(propose(childOwner, content, more)), 'FORBIDDEN', what);
    const made = await propose(childOwner, good, { targets: [root()] });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    // Of it they see how it stands, as a count, and nothing else of the tenant above.
    const { created, expires, ...rest } = await standing();
    assert.deepEqual(rest, { state: 'open', signed: 0, threshold: 1 });
    assert.ok(Date.parse(created ?? '') < Date.parse(expires ?? ''));
    assert.deepEqual((await otherOwner.call('GET', '/v1/tenants/other/anchor')).body, {});
    for (const client of [stranger, otherOwner])
      assert.notEqual((await client.call('GET', '/v1/tenants/acme/anchor')).status, 200);
    // It is not theirs to look at: the parent stays as closed as before.
    for (const path of ['', '/proposals', '/proposals/1'])
      assert.equal(await codeOf(childOwner.call('GET', `/v1/tenants/~${path}`)), 'NOT_FOUND', path);
    const signatures = await registry.owner.sign('tenants', good);
    const { operator } = current();
    const answer = await operator.publish('~', {
      ...publication({ tenants: signatures }),
      targets: [root()],
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    registry.owner.content.set('tenants', good);
    // The same file went live another way: the proposal ended, and the anchor is there.
    const { body: now } = await childOwner.call<AnchorState>('GET', '/v1/tenants/acme/anchor');
    assert.deepEqual(now.anchored, { rootVersion: 1, status: 'active' });
    assert.ok(now.proposal?.state !== 'open' && now.proposal?.ended !== undefined);
    assert.deepEqual(Object.keys(now.proposal ?? {}).toSorted(), ['created', 'ended', 'state']);
    // A stock client finds the root of the child as a target.
    const sha256 = sha256Of(Buffer.from(child.owner.rootText)).slice(7);
    const stored = await fetch(`${current().server.url}/tuf/~/targets/~tenants/${sha256}.acme`);
    assert.equal(await stored.text(), child.owner.rootText);
  });

  it('lose their anchor by nobody, and change theirs by proposal', async () => {
    const gone = withoutTargets(registry.owner.nextOf(live(), new Map()), new Set([anchorPath('acme')]));
    assert.equal(await codeOf(propose(childOwner, gone)), 'FORBIDDEN');
    const moved = next('acme', anchorOf(child.owner, { metadataUrls: ['https://acme.example/metadata'] }));
    const made = await propose(childOwner, moved);
    assert.equal(made.status, 201);
    assert.equal((await standing()).state, 'open');
    const { operator } = current();
    const holder = await operator.with([{ tenant: '~', level: 'owner' }]);
    const { number } = made.body as { number?: number };
    const refusal = { message: 'not there' };
    assert.equal(
      await codeOf(holder.call('POST', `/v1/tenants/~/proposals/${number ?? 0}/withdraw`, refusal)),
      200,
    );
    const { state, ...more } = await standing();
    assert.equal(state, 'withdrawn');
    assert.deepEqual(Object.keys(more).toSorted(), ['created', 'ended']);
    const files = { tenants: await signed(gone, [registry.owner.signerFor('tenants')]) };
    assert.equal(await codeOf(operator.publish('~', publication(files))), 'MALFORMED');
  });

  it('are pointed to by a document for anyone, which names no tenant', async () => {
    const { url } = current().server;
    const response = await fetch(`${url}/.well-known/mandate`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('cache-control'), 'public, max-age=300');
    const text = await response.text();
    assert.doesNotMatch(text, /acme|other|sha256/);
    const known = discoverySchema.parse(JSON.parse(text));
    assert.equal(known.registry?.metadata, '/tuf/~/metadata/');
    assert.ok(known.capabilities.includes('nested-tenants'));
    const folder = known.tenants.metadata.replace('{tenant}', 'acme');
    assert.equal((await fetch(new URL(`${folder}timestamp.json`, url))).status, 200);
    assert.equal((await fetch(new URL(known.tenants.root.replace('{tenant}', '~'), url))).status, 200);
  });
});
