import assert from 'node:assert/strict';
import {
  anchorPath,
  anchorTarget,
  binName,
  binNumber,
  childTenant,
  parentTenant,
  parseAnchor,
  parseTenantPath,
  sha256Of,
  withDelegation,
  withoutDelegation,
  withoutTargets,
  withTargets,
  type Anchor,
  type JsonObject,
} from '@mandate/metadata';
import { refuses, rejects } from './refusal.ts';
import { newTenancy, roleKeys, target } from './tenancy.ts';
import { testKey } from './test-key.ts';

const anchor: Anchor = {
  genesis: sha256Of('genesis of acme'),
  rootVersion: 3,
  rootDigest: sha256Of('root 3 of acme'),
  rootLength: 900,
  metadataUrls: ['https://registry.example/tuf/acme/metadata', 'http://127.0.0.1:8080/x'],
  status: 'active',
};
const path = anchorPath('acme');
const listing =
  (...entries: readonly [string, Anchor][]) =>
  (signed: JsonObject): JsonObject =>
    withTargets(signed, new Map(entries.map(([segment, one]) => [anchorPath(segment), anchorTarget(one)])));

describe('metadata: anchors', () => {
  it('are read as they are written', () => {
    const { length, digest, custom } = anchorTarget(anchor);
    const file = { length, hashes: { sha256: digest.slice(7) }, custom };
    assert.deepEqual(parseAnchor(file), anchor);
  });

  const written = anchorTarget(anchor);
  const changed = (change: Record<string, unknown>) => () =>
    parseAnchor({
      length: written.length,
      hashes: { sha256: written.digest.slice(7) },
      custom: { ...written.custom, ...change } as JsonObject,
    });
  for (const [what, change] of [
    ['no genesis', { genesis: undefined }],
    ['a genesis that is no digest', { genesis: 'sha256:xyz' }],
    ['root version 0', { rootVersion: 0 }],
    ['a root version that is text', { rootVersion: '3' }],
    ['no URL', { metadataUrls: [] }],
    ['nine URLs', { metadataUrls: Array.from({ length: 9 }, () => 'https://a.example/') }],
    ['a URL of another scheme', { metadataUrls: ['file:///etc/passwd'] }],
    ['a URL with a user', { metadataUrls: ['https://me:secret@a.example/'] }],
    ['a URL with a query', { metadataUrls: ['https://a.example/?x=1'] }],
    ['a URL that is none', { metadataUrls: [7] }],
    ['an unknown status', { status: 'paused' }],
    ['no status', { status: undefined }],
  ] as const) {
    it(`are refused with ${what}`, () => {
      assert.throws(changed(change), { name: 'MetadataError', code: 'MALFORMED' });
    });
  }

  it('are refused without sha256, without custom, and for a root that no client reads', () => {
    const { custom } = written;
    refuses('MALFORMED/ANCHOR', () => parseAnchor({ length: 9, hashes: { sha512: 'ab' }, custom }));
    const hashes = { sha256: written.digest.slice(7) };
    refuses('MALFORMED/ANCHOR', () => parseAnchor({ length: 9, hashes, custom: undefined }));
    refuses('MALFORMED/ANCHOR', () => parseAnchor({ length: 0, hashes, custom }));
    refuses('MALFORMED/ANCHOR', () => parseAnchor({ length: 600_000, hashes, custom }));
  });

  it('name one segment', () => {
    for (const segment of ['acme/labs', '', '..', 'Acme', '~x'])
      refuses('MALFORMED/NAME', () => anchorPath(segment));
    assert.equal(childTenant(parseTenantPath('/'), 'acme'), 'acme');
    assert.equal(childTenant(parseTenantPath('acme'), 'labs'), 'acme/labs');
    assert.deepEqual(parentTenant(parseTenantPath('acme/labs')), { parent: 'acme', segment: 'labs' });
    assert.deepEqual(parentTenant(parseTenantPath('acme')), { parent: '/', segment: 'acme' });
    assert.equal(parentTenant(parseTenantPath('/')), undefined);
  });
});

describe('metadata: publications and anchors', () => {
  const roles = ['distrust', 'tenants', 'reserved', 'org'];

  /** acme is anchored already. */
  async function anchored() {
    const world = await newTenancy(roles);
    await world.tenancy.publish([world.owner.next('tenants', listing(['acme', anchor]))]);
    return world;
  }

  it('anchors, moves forward, suspends and ends a child', async () => {
    const { tenancy, owner } = await anchored();
    for (const change of [
      { rootVersion: 4, rootDigest: sha256Of('root 4') },
      { status: 'suspended' },
      { status: 'active', metadataUrls: ['https://elsewhere.example/'] },
      { status: 'removed' },
    ] as const)
      await tenancy.publish([
        owner.next(
          'tenants',
          listing(['acme', { ...anchor, rootVersion: 4, rootDigest: sha256Of('root 4'), ...change }]),
        ),
      ]);
  });

  it('refuses what is no anchor', async () => {
    const { tenancy, owner } = await newTenancy(roles);
    const file = owner.next('tenants', (signed) => withTargets(signed, new Map([[path, target('x')]])));
    await rejects('MALFORMED/ANCHOR', tenancy.publish([file]));
  });

  for (const [what, change] of [
    ['another genesis', { genesis: sha256Of('somebody else') }],
    ['an older root', { rootVersion: 2 }],
    ['other bytes for its root', { rootDigest: sha256Of('another root 3') }],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const { tenancy, owner } = await anchored();
      const file = owner.next('tenants', listing(['acme', { ...anchor, ...change }]));
      await rejects('MALFORMED/ANCHOR', tenancy.publish([file]));
    });
  }

  it('refuses that a child comes back from its end', async () => {
    const { tenancy, owner } = await anchored();
    await tenancy.publish([owner.next('tenants', listing(['acme', { ...anchor, status: 'removed' }]))]);
    await rejects('MALFORMED/ANCHOR', tenancy.publish([owner.next('tenants', listing(['acme', anchor]))]));
  });

  it('refuses that an anchor disappears: from the list, with its role, and among bins', async () => {
    const gone = (signed: JsonObject) => withoutTargets(signed, new Set([path]));
    const first = await anchored();
    await rejects('MALFORMED/ANCHOR', first.tenancy.publish([first.owner.next('tenants', gone)]));
    const second = await anchored();
    const undelegated = second.owner.next('targets', (signed) => withoutDelegation(signed, 'tenants'));
    await rejects('MALFORMED/ANCHOR', second.tenancy.publish([undelegated]));
    const third = await anchored();
    await rejects('MALFORMED/ANCHOR', third.tenancy.publish(third.owner.split('tenants', 1)));
  });

  it('carries anchors into bins, where the same rules hold', async () => {
    const { tenancy, owner } = await anchored();
    const files = owner.split('tenants', 2);
    const bin = binName({ bitLength: 2, namePrefix: 'bins~tenants' }, binNumber(2, path));
    const rest = files.filter(({ role }) => role !== bin);
    await tenancy.publish([...rest, owner.create(bin, listing(['acme', anchor]))]);
    const other = { ...anchor, genesis: sha256Of('somebody else') };
    await rejects('MALFORMED/ANCHOR', tenancy.publish([owner.next(bin, listing(['acme', other]))]));
  });

  it('refuses artifacts and delegations of the parent below a child, and takes both over with its anchor', async () => {
    const first = await anchored();
    const below = (signed: JsonObject) => withTargets(signed, new Map([['acme/app/v1', target('evil')]]));
    await rejects('MALFORMED/ANCHOR', first.tenancy.publish([first.owner.next('org', below)]));
    for (const role of ['repo~acme~app', 'org~acme', 'repo~acme']) {
      const { tenancy, owner } = await anchored();
      await rejects('MALFORMED/ANCHOR', tenancy.publish(owner.delegate('targets', role)));
    }
    const beside = await anchored();
    await beside.tenancy.publish(beside.owner.delegate('targets', 'repo~acmes~app'));
    // A delegation that was there before goes with the publication that anchors the child.
    const { tenancy, owner } = await newTenancy(roles);
    await tenancy.publish(owner.delegate('targets', 'org~acme'));
    await rejects('MALFORMED/ANCHOR', tenancy.publish([owner.next('tenants', listing(['acme', anchor]))]));
    const again = await newTenancy(roles);
    await again.tenancy.publish(again.owner.delegate('targets', 'org~acme'));
    await again.tenancy.publish([
      again.owner.next('targets', (signed) => withoutDelegation(signed, 'org~acme')),
      again.owner.next('tenants', listing(['acme', anchor])),
    ]);
  });

  it('refuses a delegation below a child from the catch-all too', async () => {
    const { tenancy, owner } = await anchored();
    const keys = roleKeys([testKey('repo~acme~app')]);
    const files = [
      owner.next('org', (signed) => withDelegation(signed, 'org', 'repo~acme~app', keys)),
      owner.create('repo~acme~app'),
    ];
    await rejects('MALFORMED/ANCHOR', tenancy.publish(files));
  });
});
