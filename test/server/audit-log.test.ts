/** The audit log: every write is in it, chained; checkpoints are signed; superseded files lose their bytes in time. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  auditHash,
  auditStart,
  openCheckpoint,
  type AuditChain,
  type AuditKeys,
  type AuditPage,
  type CheckpointList,
  type CreatedToken,
  type Problem,
  type RoleVersionList,
  type Token,
} from '@mandate/api';
import {
  keyIdOf,
  nextRoot,
  parsePublicKey,
  parseRoot,
  sha256Of,
  type JsonValue,
  type KeyId,
} from '@mandate/metadata';
import { fixedPassphrase, generateKey } from '@mandate/signing';
import { withDatabase } from './database.ts';
import { newSigner, publication, signed } from './owner.ts';
import { filesOf, holders, keysOf, Proposals, Team } from './proposer.ts';
import { backends, Client, describeService, servedFile, startService, type Service } from './service.ts';

interface AuditRecord {
  readonly seq: number;
  readonly action: string;
  readonly who: { readonly credential: string; readonly id?: string; readonly label?: string };
  readonly [detail: string]: unknown;
}

/** All records of a chain, once it was found to be whole. */
async function chainOf(
  client: Client,
  slug: string,
  chain: AuditChain = 'administration',
): Promise<AuditRecord[]> {
  const records: AuditRecord[] = [];
  let hash: Uint8Array = auditStart;
  for (let after = 0; ;) {
    const { status, body } = await client.call<AuditPage>(
      'GET',
      `/v1/tenants/${slug}/audit?chain=${chain}&after=${after}`,
    );
    assert.equal(status, 200);
    for (const entry of body.entries) {
      hash = auditHash(hash, entry.record);
      assert.equal(entry.hash, Buffer.from(hash).toString('hex'));
      const record = JSON.parse(entry.record) as AuditRecord;
      assert.deepEqual([entry.seq, record.seq], [records.length + 1, records.length + 1]);
      records.push(record);
    }
    if (body.next === undefined) {
      assert.deepEqual(body.last, { seq: records.length, hash: Buffer.from(hash).toString('hex') });
      return records;
    }
    after = body.next;
  }
}

async function checkpointsOf(client: Client, slug: string): Promise<CheckpointList['checkpoints']> {
  const path = `/v1/tenants/${slug}/audit/checkpoints`;
  return (await client.call<CheckpointList>('GET', path)).body.checkpoints;
}

/** Waits for a state that comes by itself. */
async function until<T>(get: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await get();
    if (found !== undefined) return found;
    await sleep(20);
  }
}

function tokenId({ token }: Client): string {
  return token.split('_')[1] ?? '';
}

describeService(
  'audit log',
  (current) => {
    it('says who changed what from which version to which, with their digests', async () => {
      const { operator } = current();
      const { owner, slug, first } = await operator.tenant('published', ['reserved', 'org']);
      const one = await servedFile(operator.url, slug, '1.org.json');
      const request = publication({ org: await owner.advance('org') });
      const { body } = await operator.publish(slug, request);
      const [begin, record] = await chainOf(operator, slug, 'publications');
      assert.deepEqual(
        ((begin?.['changes'] ?? []) as { role: string; from?: unknown }[]).map(({ role, from }) => [
          role,
          from,
        ]),
        ['root', 'targets', 'reserved', 'org'].map((role) => [role, undefined]),
      );
      assert.equal(begin?.['publication'], first.id);
      assert.deepEqual(Object.keys(begin?.['onlineKeys'] as object), ['snapshot', 'timestamp']);
      assert.deepEqual(record?.who, {
        credential: 'token',
        id: tokenId(operator),
        label: 'configured operator',
      });
      const two = await servedFile(operator.url, slug, '2.org.json');
      assert.deepEqual(record?.['changes'], [
        {
          role: 'org',
          from: { version: 1, digest: sha256Of(one) },
          to: { version: 2, digest: sha256Of(two) },
        },
      ]);
      assert.deepEqual(record?.['signedBy'], [keyIdOf(owner.signerFor('org').publicKey)]);
      const snapshot = await servedFile(operator.url, slug, `${body.snapshotVersion}.snapshot.json`);
      assert.deepEqual(record?.['snapshot'], { version: body.snapshotVersion, digest: sha256Of(snapshot) });
      assert.equal(record?.['publication'], request.id);
    });

    it('has tenants, tokens and keys of the service in the other chain, and all tokens in the own log', async () => {
      const { operator } = current();
      const acme = (await operator.tenant('acme', [])).slug;
      const other = (await operator.tenant('other', [])).slug;
      const { body } = await operator.call<CreatedToken>('POST', '/v1/tokens', {
        label: 'both',
        grants: [
          { tenant: acme, level: 'owner' },
          { tenant: other, level: 'reader' },
        ],
      });
      const both = new Client(operator.url, body.token);
      await both.call('POST', `/v1/tenants/${acme}/online-keys`, {});
      await operator.call('DELETE', `/v1/tokens/${body.id}`);
      const inAcme = await chainOf(operator, acme);
      assert.deepEqual(
        inAcme.map(({ action, level }) => [action, level]),
        [
          ['tenant-create', undefined],
          ['token-create', 'owner'],
          ['online-keys', undefined],
          ['token-delete', 'owner'],
        ],
      );
      assert.deepEqual(inAcme[2]?.who, { credential: 'token', id: body.id, label: 'both' });
      assert.equal(JSON.stringify(inAcme).includes('other'), false, 'another tenant is not named');
      const inOther = await chainOf(operator, other);
      assert.deepEqual(
        inOther.map(({ action, level }) => [action, level]),
        [
          ['tenant-create', undefined],
          ['token-create', 'reader'],
          ['token-delete', 'reader'],
        ],
      );
      const own = (await chainOf(operator, '@service')).slice(-2);
      assert.deepEqual(
        own.map(({ action, grants }) => [action, (grants as unknown[]).length]),
        [
          ['token-create', 2],
          ['token-delete', 2],
        ],
      );
      const text = JSON.stringify([...inAcme, ...(await chainOf(operator, '@service'))]);
      assert.equal(text.includes(body.token.split('_')[2] ?? '-'), false, 'no secret is recorded');
    });

    it('has what happens to a proposal, and its number with the publication', async () => {
      const { operator } = current();
      const team = await Team.start(operator, 'team', { org: holders('org', 2, 2) });
      const ann = await operator.with([{ tenant: team.slug, level: 'publisher' }]);
      const bob = await operator.with([{ tenant: team.slug, level: 'publisher' }]);
      const [byAnn, byBob] = [new Proposals(ann, team.slug), new Proposals(bob, team.slug)];
      const next = team.next('org', 'app/v1');
      const files = filesOf({ org: next });
      const made = await byAnn.make({ files, signatures: [await team.signature('org', next, 0)] });
      await byBob.sign(made.body.number, await team.signature('org', next, 1));
      team.content.set('org', next);
      const unwanted = await byBob.make({ files: filesOf({ org: team.next('org', 'app/v2') }) });
      await byBob.withdraw(unwanted.body.number, 'no');
      const records = (await chainOf(operator, team.slug)).filter(({ proposal }) => proposal !== undefined);
      assert.deepEqual(
        records.map(({ action, proposal, who }) => [action, proposal, who.id]),
        [
          ['proposal-propose', 1, tokenId(ann)],
          ['proposal-sign', 1, tokenId(ann)],
          ['proposal-sign', 1, tokenId(bob)],
          ['proposal-published', 1, undefined],
          ['proposal-propose', 2, tokenId(bob)],
          ['proposal-withdrawn', 2, tokenId(bob)],
        ],
      );
      assert.equal(records[0]?.who.label, 'test');
      assert.equal((await chainOf(operator, team.slug, 'publications')).at(-1)?.['proposal'], 1);
    });

    it('is read by owners and operators; its checkpoints by every reader; nothing by others', async () => {
      const { operator } = current();
      const { slug } = await operator.tenant('readers', []);
      const owner = await operator.with([{ tenant: slug, level: 'owner' }]);
      const publisher = await operator.with([{ tenant: slug, level: 'publisher' }]);
      const stranger = await operator.with([
        { tenant: (await operator.tenant('strange', [])).slug, level: 'owner' },
      ]);
      const get = async (client: Client, log: string, what = ''): Promise<string> => {
        const { status, body } = await client.call<Problem>('GET', `/v1/tenants/${log}/audit${what}`);
        return status === 200 ? 'read' : `${body.code} ${body.detail}`;
      };
      assert.equal(await get(owner, slug), 'read');
      assert.match(await get(publisher, slug), /^FORBIDDEN/);
      assert.equal(await get(publisher, slug, '/checkpoints'), 'read');
      const nothing = await get(stranger, 'nowhere');
      assert.match(nothing, /^NOT_FOUND/);
      for (const what of ['', '/checkpoints'])
        for (const log of [slug, '@service']) assert.equal(await get(stranger, log, what), nothing);
      assert.equal(await get(operator, '@service'), 'read');
      assert.match(await get(owner, slug, '?after=-1'), /^MALFORMED/);
      const versions = await stranger.call<Problem>('GET', `/v1/tenants/${slug}/roles/targets/versions`);
      assert.equal(`${versions.body.code} ${versions.body.detail}`, nothing);
    });

    it('signs where both chains stand', async () => {
      const { operator } = current();
      const { owner, slug } = await operator.tenant('signed', ['reserved', 'org']);
      await operator.publish(slug, publication({ org: await owner.advance('org') }));
      const { keys } = (await operator.call<AuditKeys>('GET', '/v1/audit/keys')).body;
      const key = parsePublicKey(keys[0]?.key as JsonValue);
      assert.equal(keyIdOf(key), keys[0]?.keyId);
      const pinned = new Map([[keyIdOf(key), key]]);
      const checkpoint = await until(async () => {
        const [newest] = await checkpointsOf(operator, slug);
        const opened = newest && openCheckpoint(newest, pinned);
        return opened?.publications.seq === 2 ? opened : undefined;
      });
      assert.equal(checkpoint.tenant, slug);
      assert.equal(checkpoint.genesis, owner.genesis);
      for (const chain of ['publications', 'administration'] as const) {
        const path = `/v1/tenants/${slug}/audit?chain=${chain}`;
        assert.deepEqual(checkpoint[chain], (await operator.call<AuditPage>('GET', path)).body.last);
      }
      const [newest] = await checkpointsOf(operator, slug);
      const payload = Buffer.from(newest?.payload ?? '', 'base64')
        .toString()
        .replace('signed', 'forged');
      const forged = { ...newest, payload: Buffer.from(payload).toString('base64') };
      assert.equal(openCheckpoint(forged as NonNullable<typeof newest>, pinned), undefined);
      assert.equal(openCheckpoint(newest as NonNullable<typeof newest>, new Map()), undefined);
      await until(async () => (await checkpointsOf(operator, '@service'))[0]);
    });

    it('names the new keys of a root that follows another', async () => {
      const { operator } = current();
      const team = await Team.start(operator, 'roots', {});
      const [held] = keysOf(team.of('root')).keys;
      const online = (name: 'snapshot' | 'timestamp') => ({
        keys: [parsePublicKey(team.online[name].key as JsonValue)],
        threshold: 1,
      });
      const added = newSigner('second');
      const root = nextRoot(
        parseRoot(await servedFile(operator.url, team.slug, '1.root.json')),
        {
          root: { keys: [held as NonNullable<typeof held>, added.publicKey], threshold: 1 },
          targets: keysOf(team.of('targets')),
          snapshot: online('snapshot'),
          timestamp: online('timestamp'),
        },
        team.expires,
      );
      const text = await signed(root, team.of('root').signers);
      assert.equal((await operator.publish(team.slug, publication({ root: text }))).status, 201);
      const record = (await chainOf(operator, team.slug, 'publications')).at(-1);
      const first = sha256Of(await servedFile(operator.url, team.slug, '1.root.json'));
      assert.deepEqual(record?.['changes'], [
        {
          role: 'root',
          from: { version: 1, digest: first },
          to: { version: 2, digest: sha256Of(text) },
        },
      ]);
      assert.deepEqual(record?.['onlineKeys'], {
        snapshot: [team.online.snapshot.keyId],
        timestamp: [team.online.timestamp.keyId],
      });
    });
  },
  { checkpointMs: 50 },
);

describeService(
  'pruning',
  (current) => {
    it('keeps roots and what is live, and of the rest only the digests', async () => {
      const { operator } = current();
      const { owner, slug } = await operator.tenant('acme', ['reserved', 'org']);
      for (let i = 0; i < 3; i += 1)
        assert.equal(
          (await operator.publish(slug, publication({ org: await owner.advance('org') }))).status,
          201,
        );
      const list = async (role: string): Promise<RoleVersionList['versions']> => {
        const path = `/v1/tenants/${slug}/roles/${role}/versions`;
        return (await operator.call<RoleVersionList>('GET', path)).body.versions;
      };
      await until(async () =>
        (await list('org')).filter(({ kept }) => kept).length === 1 ? true : undefined,
      );
      const versions = await list('org');
      assert.deepEqual(
        versions.map(({ version, kept }) => [version, kept]),
        [
          [4, true],
          [3, false],
          [2, false],
          [1, false],
        ],
      );
      const address = `${operator.url}/tuf/${slug}/metadata`;
      const status = async (name: string, method = 'GET'): Promise<number> =>
        (await fetch(`${address}/${name}`, { method })).status;
      for (const method of ['GET', 'HEAD']) {
        assert.equal(await status('3.org.json', method), 404);
        assert.equal(await status('9.org.json', method), 404);
        for (const name of ['4.org.json', '1.targets.json', '1.root.json', 'timestamp.json'])
          assert.equal(await status(name, method), 200, name);
      }
      const { body } = await operator.publish(slug, publication({ org: await owner.advance('org') }));
      assert.equal(body.versions['org'], 5);
      assert.equal(
        sha256Of(await servedFile(operator.url, slug, '5.org.json')),
        (await list('org'))[0]?.digest,
      );
    });
  },
  { pruneMs: 50, keepSupersededMs: 100 },
);

for (const backend of backends) {
  describe(`audit log and time, ${backend.name}`, () => {
    let drop: (() => Promise<void>) | undefined;
    const services: Service[] = [];

    after(async () => {
      for (const { server } of services) await server.close();
      await drop?.();
    });

    it('signs nothing over a chain that was changed behind its back, and says so', async function () {
      backend.prepare(this);
      const database = await backend.database();
      drop = database.drop;
      let service = await startService({ ...database.config, checkpointMs: 50 });
      services.push(service);
      const { operator, config } = service;
      const { slug } = await operator.tenant('acme', []);
      const covered = await until(async () => {
        const [newest] = await checkpointsOf(operator, slug);
        return newest?.payload;
      });
      await service.server.close();
      await withDatabase(config, async (query) => {
        await query(
          `UPDATE audit_event SET record = replace(record, 'tenant-create', 'tenant-forget') WHERE tenant_id > 0`,
        );
        // As somebody does who wants the change to be signed.
        await query('DELETE FROM audit_checkpoint');
        await query('UPDATE audit_chain SET signed_administration = 0, signed_publications = 0');
      });
      service = await startService({ ...config, port: 0 });
      services.push(service);
      const { log } = service;
      await until(async () => log.find((line) => line.includes('AUDIT_BROKEN')));
      const again = new Client(service.server.url, operator.token);
      assert.deepEqual(await checkpointsOf(again, slug), []);
      assert.notEqual(covered, '');
    });
  });
}

describeService(
  'audit log of what happens by itself',
  (current) => {
    /** What waits for its place in a chain shows in none. */
    const endsOf = (client: Client, slug: string, action: string): Promise<AuditRecord> =>
      until(async () => (await chainOf(client, slug)).find((record) => record.action === action));

    it('has the ends of proposals soon, with no other record and no checkpoint after them', async () => {
      const { operator } = current();
      const team = await Team.start(operator, 'alone', { org: holders('org', 2, 2) });
      const proposals = new Proposals(operator, team.slug);
      await operator.call('POST', `/v1/tenants/${team.slug}/grants`, {
        level: 'publisher',
        token: tokenId(operator),
      });
      const files = filesOf({ org: team.next('org', 'app/late') });
      const late = await proposals.make({ files, expiresInSeconds: 1 });
      assert.equal((await endsOf(operator, team.slug, 'proposal-expired'))['proposal'], late.body.number);
      const rival = await proposals.make({ files: filesOf({ org: team.next('org', 'app/rival') }) });
      const next = team.next('org', 'app/v1');
      const signatures = [await team.signature('org', next, 0), await team.signature('org', next, 1)];
      const made = await proposals.make({ files: filesOf({ org: next }), signatures });
      for (const [action, number] of [
        ['proposal-published', made.body.number],
        ['proposal-overtaken', rival.body.number],
      ] as const)
        assert.equal((await endsOf(operator, team.slug, action))['proposal'], number);
    });
  },
  { checkpointMs: 86_400_000, proposalSweepMs: 50 },
);

describe('audit key', () => {
  it('may be held outside the service; those before it stay listed for what they signed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mandate-audit-key-'));
    const [embedded] = backends;
    const database = await embedded?.database();
    if (database === undefined) throw new Error('no database');
    const keyFolder = join(folder, 'keys');
    await generateKey({
      keyFolder,
      name: 'audit',
      algorithm: 'ecdsa-p256',
      passphrase: fixedPassphrase('for tests'),
      now: Date.now(),
    });
    const newest = async ({ operator }: Service): Promise<[signer: string | undefined, listed: string[]]> => {
      const { keys } = (await operator.call<AuditKeys>('GET', '/v1/audit/keys')).body;
      const known = new Map(
        keys.map(({ keyId, key }) => [keyId as KeyId, parsePublicKey(key as JsonValue)] as const),
      );
      const [checkpoint] = await checkpointsOf(operator, '@service');
      assert.ok(checkpoint === undefined || openCheckpoint(checkpoint, known) !== undefined);
      return [checkpoint?.signatures[0]?.keyid, keys.map(({ keyId }) => keyId)];
    };
    try {
      let service = await startService({ ...database.config, checkpointMs: 30 });
      const made = await until(async () => (await newest(service))[0]);
      await service.server.close();
      const config = { ...service.config, port: 0 };
      const keyEnvironment = { MANDATE_CONFIG: folder, MANDATE_PASSPHRASE: 'for tests' };
      service = await startService({ ...config, auditKey: 'file:audit', keyEnvironment });
      await service.operator.with([], true);
      const held = await until(async () => {
        const [signer, listed] = await newest(service);
        return signer === made ? undefined : [signer, listed];
      });
      assert.deepEqual(held[1], [held[0], made]);
      await service.server.close();
      service = await startService(config);
      await service.operator.with([], true);
      await until(async () => ((await newest(service))[0] === made ? true : undefined));
      assert.deepEqual((await newest(service))[1], [made, held[0]]);
      await service.server.close();
    } finally {
      await database.drop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('audit log of two processes, PostgreSQL', () => {
  it('has one chain', async function () {
    const backend = backends.find(({ shared }) => shared);
    if (backend === undefined) throw new Error('no shared database');
    backend.prepare(this);
    const database = await backend.database();
    const one = await startService({ ...database.config, checkpointMs: 20 });
    const two = await startService({ ...one.config, port: 0 });
    try {
      const { slug } = await one.operator.tenant('acme', ['reserved', 'org']);
      const clients = [one, two].map(({ server }) => new Client(server.url, one.operator.token));
      const grants = [{ tenant: slug, level: 'reader' as const }];
      const made = await Promise.all(
        Array.from({ length: 40 }, (_, i) =>
          (clients[i % 2] as Client).call<Token>('POST', '/v1/tokens', { label: `t${i}`, grants }),
        ),
      );
      assert.ok(made.every(({ status }) => status === 201));
      for (const log of [slug, '@service']) {
        const created = (await chainOf(one.operator, log)).filter(({ action }) => action === 'token-create');
        assert.equal(created.length, 40, log);
      }
    } finally {
      await one.server.close();
      await two.server.close();
      await database.drop();
    }
  });
});
