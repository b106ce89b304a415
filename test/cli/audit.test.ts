/** `mandate audit verify` against somebody who has the database, and against the service itself. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { auditHash, auditStart, type CheckpointList } from '@mandate/api';
import { limits, parseEnvelope } from '@mandate/metadata';
import { withDatabase, type Query } from '../server/database.ts';
import { newSigner, signed } from '../server/owner.ts';
import { backends, servedFile, startService, type Service } from '../server/service.ts';
import { Person } from './world.ts';

interface Report {
  readonly whole: boolean;
  readonly records: Readonly<Record<string, number>>;
  readonly compared: number;
  readonly checkpoint?: { readonly publications: { readonly seq: number } };
  readonly findings: readonly { code: string; chain?: string; seq?: number; role?: string }[];
  readonly notCovered: readonly { role: string; version: number; seq: number }[];
}

interface PublishRecord {
  readonly seq: number;
  readonly at: string;
  readonly who: { readonly id: string };
  readonly publication: string;
  readonly submitted: string;
  readonly changes: readonly { role: string; to: { version: number } }[];
  readonly snapshot: { readonly version: number };
  readonly timestamp: number;
}

/** A record as it was written before migration 007: versions, and no digests. */
function oldForm(text: string): string {
  const { seq, at, who, publication, submitted, changes, snapshot, timestamp } = JSON.parse(
    text,
  ) as PublishRecord;
  return JSON.stringify({
    seq,
    at,
    action: 'publish',
    actor: who.id,
    publication,
    digest: submitted.replace('sha256:', ''),
    versions: Object.fromEntries(changes.map(({ role, to }) => [role, to.version])),
    snapshot: snapshot.version,
    timestamp,
  });
}

const tenantId = `(SELECT id FROM tenant WHERE slug = 'acme')`;

/** Changes a record and gives all that follow, and the head, the hashes that then fit. */
async function rewrite(query: Query, seq: number, change: (record: string) => string): Promise<void> {
  const rows = (await query(
    `SELECT seq, record FROM audit WHERE tenant_id = ${tenantId} ORDER BY seq`,
  )) as unknown as { seq: number | string; record: string }[];
  let hash: Uint8Array = auditStart;
  for (const row of rows) {
    const record = Number(row.seq) === seq ? change(row.record) : row.record;
    hash = auditHash(hash, record);
    await query(`UPDATE audit SET record = $2, hash = $3 WHERE tenant_id = ${tenantId} AND seq = $1`, [
      row.seq,
      record,
      Buffer.from(hash),
    ]);
  }
  await query(`UPDATE head SET audit_hash = $1 WHERE tenant_id = ${tenantId}`, [Buffer.from(hash)]);
}

interface Tampering {
  readonly what: string;
  readonly change: (query: Query) => Promise<unknown>;
  readonly finds: readonly (readonly [code: string, seq: number | undefined])[];
}

const edited = (record: string): string => record.replace(/"id":"[0-9a-f]{16}"/, '"id":"0000000000000000"');

const tamperings: readonly Tampering[] = [
  {
    what: 'altered',
    change: (query) =>
      query(`UPDATE audit SET record = replace(record, '"token"', '"nobody"') WHERE seq = 3`),
    finds: [['RECORD_ALTERED', 3]],
  },
  {
    what: 'removed',
    change: (query) => query('DELETE FROM audit WHERE seq = 3'),
    finds: [
      ['RECORD_MISSING', 3],
      ['RECORD_CONTRADICTS', 4],
    ],
  },
  {
    what: 'removed, the others moved up',
    change: async (query) => {
      await query('DELETE FROM audit WHERE seq = 3');
      await query('UPDATE audit SET seq = seq - 1 WHERE seq > 3');
      await query('UPDATE head SET audit_seq = audit_seq - 1');
    },
    finds: [['RECORD_MISSING', 3]],
  },
  {
    what: 'reordered',
    change: async (query) => {
      for (const [from, to] of [
        [3, 99],
        [4, 3],
        [99, 4],
      ])
        await query('UPDATE audit SET seq = $2 WHERE seq = $1', [from, to]);
    },
    finds: [['RECORD_REORDERED', 3]],
  },
  {
    what: 'inserted',
    change: async (query) => {
      for (const seq of [5, 4]) await query('UPDATE audit SET seq = seq + 1 WHERE seq = $1', [seq]);
      await query(
        `INSERT INTO audit SELECT tenant_id, 4, at_ms, replace(record, '"token"', '"x"'), hash FROM audit WHERE seq = 3`,
      );
    },
    finds: [['RECORD_INSERTED', 3]],
  },
  {
    what: 'cut off, with the head set back',
    change: async (query) => {
      await query('DELETE FROM audit WHERE seq = 5');
      await query('UPDATE head SET audit_seq = 4, audit_hash = (SELECT hash FROM audit WHERE seq = 4)');
    },
    finds: [
      ['LOG_TRUNCATED', 5],
      ['METADATA_DIFFERS', 4],
    ],
  },
  {
    what: 'rewritten, with all hashes after it',
    change: (query) => rewrite(query, 3, edited),
    finds: [['EQUIVOCATION', 5]],
  },
  {
    what: 'altered in the other chain',
    change: (query) =>
      query(
        `UPDATE audit_event SET record = replace(record, 'tenant-create', 'x') WHERE tenant_id = ${tenantId} AND seq = 1`,
      ),
    finds: [['RECORD_ALTERED', 1]],
  },
];

for (const backend of backends) {
  describe(`cli: audit, ${backend.name}`, () => {
    let service: Service;
    let drop: (() => Promise<void>) | undefined;
    let alice: Person;
    let bob: Person;
    let keyId: string;

    async function restart(): Promise<void> {
      const { port } = new URL(service.server.url);
      service = await startService({ ...service.config, port: Number(port) });
    }

    /** Changes the database; the embedded one while the service is down. */
    async function tamper(change: (query: Query) => Promise<unknown>, down = false): Promise<void> {
      const stop = down || !backend.shared;
      if (stop) await service.server.close();
      await withDatabase(service.config, change);
      if (stop) await restart();
    }

    async function keep(query: Query, names: readonly string[]): Promise<void> {
      for (const name of names) await query(`CREATE TABLE kept_${name} AS TABLE ${name}`);
    }

    async function putBack(query: Query): Promise<void> {
      await query('DELETE FROM audit');
      await query('INSERT INTO audit TABLE kept_audit');
      await query('DELETE FROM audit_event');
      await query('INSERT INTO audit_event TABLE kept_audit_event');
      await query(
        `UPDATE head SET audit_seq = k.audit_seq, audit_hash = k.audit_hash
         FROM kept_head k WHERE k.tenant_id = head.tenant_id`,
      );
    }

    async function report(person: Person, ...more: string[]): Promise<Report> {
      const { code, stdout, stderr } = await person.try(['audit', 'verify', 'acme', '--json', ...more]);
      assert.notEqual(stdout, '', stderr);
      const found = JSON.parse(stdout) as Report;
      assert.equal(code, found.whole ? 0 : 1);
      return found;
    }

    /** Waits until a checkpoint covers so many publications. */
    async function covered(publications: number): Promise<void> {
      for (;;) {
        const path = '/v1/tenants/acme/audit/checkpoints';
        const { body } = await service.operator.call<CheckpointList>('GET', path);
        const payload = Buffer.from(body.checkpoints[0]?.payload ?? '', 'base64').toString();
        if (payload.includes(`"publications":{"seq":${publications},`)) return;
        await sleep(20);
      }
    }

    before(async function () {
      backend.prepare(this);
      const database = await backend.database();
      drop = database.drop;
      service = await startService({ ...database.config, checkpointMs: 50 });
      alice = new Person({ MANDATE_TOKEN: service.operator.token });
      bob = new Person({ MANDATE_TOKEN: service.operator.token });
      const { url } = service.server;
      alice.env['MANDATE_SERVICE'] = url;
      bob.env['MANDATE_SERVICE'] = url;
      for (const key of ['release', 'org']) await alice.do('key', 'generate', key);
      await alice.do('tenant', 'create', 'acme', '--key', 'release');
      await alice.do('delegate', 'acme', '**', '--key', 'org');
      for (const tag of ['v1', 'v2', 'v3'])
        await alice.do('sign', '--tenant', 'acme', '--name', `app:${tag}`, alice.file('f', tag));
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
      await bob.do('trust', 'add', 'acme', '--url', url, '--genesis', genesis);
      const { keys } = await alice.json<{ keys: [{ keyId: string }] }>('audit', 'keys');
      keyId = keys[0].keyId;
      await covered(5);
    });

    after(async () => {
      await service?.server.close();
      await drop?.();
      alice?.remove();
      bob?.remove();
    });

    it('asks for a pinned key, and takes no other', async () => {
      await bob.fails('NO_AUDIT_KEY', 'audit', 'verify', 'acme');
      const wrong = await report(bob, '--audit-key', '0'.repeat(64));
      assert.ok(
        wrong.findings.length > 0 && wrong.findings.every(({ code }) => code === 'CHECKPOINT_UNSIGNED'),
      );
      await bob.fails('USAGE', 'audit', 'trust', 'acme', 'abc');
      await bob.do('audit', 'trust', 'acme', keyId);
      await alice.do('audit', 'trust', 'acme', keyId);
    });

    it('finds a whole log whole, and keeps and saves its checkpoint', async () => {
      const first = await report(alice, '--save', alice.path('checkpoint.json'));
      assert.deepEqual(first.findings, []);
      assert.equal(first.records['publications'], 5);
      assert.equal(first.checkpoint?.publications.seq, 5);
      const again = await report(alice);
      assert.equal(again.compared, first.compared + 1, 'with the one that was kept');
      await bob.do('audit', 'verify', 'acme', '--checkpoint', alice.path('checkpoint.json'));
      await bob.fails('FILE', 'audit', 'verify', 'acme', '--checkpoint', bob.file('no.json', '{}'));
      await alice.do('audit', 'trust', '@service', keyId);
      const own = JSON.parse((await alice.do('audit', 'verify', '@service', '--json')).stdout) as Report;
      assert.equal(own.whole, true);
      const foreign = alice.path('service.json');
      await alice.do('audit', 'verify', '@service', '--save', foreign);
      const { findings } = await report(alice, '--checkpoint', foreign);
      assert.deepEqual(
        findings.map(({ code }) => code),
        ['CHECKPOINT_UNSIGNED'],
      );
    });

    // The embedded database takes seconds to open: two of them show that it is the same there.
    const chosen = backend.shared ? tamperings : tamperings.slice(0, 2);
    for (const { what, change, finds } of chosen) {
      it(`finds a record that was ${what}`, async () => {
        await tamper(async (query) => {
          await query('DROP TABLE IF EXISTS kept_audit, kept_audit_event, kept_head');
          await keep(query, ['audit', 'audit_event', 'head']);
          await change(query);
        });
        const { whole, findings } = await report(alice);
        assert.equal(whole, false);
        for (const [code, seq] of finds)
          assert.ok(
            findings.some((found) => found.code === code && found.seq === seq),
            `${code} ${seq}: ${JSON.stringify(findings)}`,
          );
        assert.equal(findings[0]?.code, finds[0]?.[0], JSON.stringify(findings));
        if (backend.shared) {
          await tamper(putBack);
          assert.deepEqual((await report(alice)).findings, []);
        } else {
          await tamper(putBack);
        }
      });
    }

    if (backend.shared)
      it('has history call a file that its keys did not sign known by the log only, and take no other bytes', async () => {
        const { url } = service.server;
        const real = parseEnvelope(await servedFile(url, 'acme', '2.org.json'), limits.roleBytes).signed;
        const entry = { hashes: { sha256: '0'.repeat(64) }, length: 1 };
        const content = { ...real, targets: { 'app/v1': entry } };
        const forged = Buffer.from(await signed(content, [newSigner('mallory')]));
        const put = (bytes: Buffer, sha256: Buffer) =>
          tamper(
            (query) =>
              query(
                `UPDATE metadata_file SET bytes = $1, sha256 = $2
                 WHERE tenant_id = ${tenantId} AND role = 'org' AND version = 2`,
                [bytes, sha256],
              ),
            true,
          );
        const before = await servedFile(url, 'acme', '2.org.json');
        const digestOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
        await put(forged, digestOf(forged));
        const { lines } = await alice.json<{ lines: { digest: string; proof: string; keys: unknown[] }[] }>(
          'history',
          'acme',
          'app:v1',
        );
        assert.deepEqual(
          lines.map(({ proof, keys }) => [proof, keys.length]),
          [
            ['signature', 1],
            ['log', 0],
          ],
        );
        await put(forged, digestOf(before));
        await alice.fails('BAD_ANSWER', 'history', 'acme', 'app:v1');
        await put(before, digestOf(before));
      });

    it('finds that the service signed two histories, by what was saved here or elsewhere', async () => {
      const saved = alice.path('checkpoint.json');
      // The operator rewrites the log, forgets what it signed, and signs anew.
      await tamper(async (query) => {
        await rewrite(query, 2, edited);
        await query('DELETE FROM audit_checkpoint');
        await query('UPDATE audit_chain SET signed_publications = 0, signed_administration = 0');
      }, true);
      await covered(5);
      const here = await report(alice);
      assert.deepEqual(
        here.findings.map(({ code, chain, seq }) => [code, chain, seq]),
        [['EQUIVOCATION', 'publications', 5]],
      );
      const carol = new Person(bob.env);
      carol.env['MANDATE_CONFIG'] = carol.path('config');
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
      await carol.do('trust', 'add', 'acme', '--url', service.server.url, '--genesis', genesis);
      const alone = await report(carol, '--audit-key', keyId);
      assert.equal(alone.whole, true, 'nothing to compare with: it looks whole');
      const together = await report(carol, '--audit-key', keyId, '--checkpoint', saved);
      assert.equal(together.findings[0]?.code, 'EQUIVOCATION');
      assert.ok(readFileSync(saved, 'utf8').includes('payloadType'));
      carol.remove();
    });

    it('has roles whose last record is from before digests were recorded not covered, and not wrong', async () => {
      const dave = new Person(bob.env);
      dave.env['MANDATE_CONFIG'] = dave.path('config');
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'acme');
      await dave.do('trust', 'add', 'acme', '--url', service.server.url, '--genesis', genesis);
      await dave.do('audit', 'trust', 'acme', keyId);
      const signAnew = (change: (query: Query) => Promise<unknown>): Promise<void> =>
        tamper(async (query) => {
          await change(query);
          await query('DELETE FROM audit_checkpoint');
          await query('UPDATE audit_chain SET signed_publications = 0, signed_administration = 0');
        }, true);
      // The newest record is of today: it begins with a digest where the one before has none.
      await signAnew(async (query) => {
        for (const seq of [1, 2, 3, 4]) await rewrite(query, seq, oldForm);
      });
      await covered(5);
      const { findings, notCovered } = await report(dave, '--save', dave.path('old.json'));
      assert.deepEqual(findings, []);
      const roles = new Map(notCovered.map(({ role, seq }) => [role, seq]));
      assert.equal(roles.get('targets'), 2);
      assert.ok(roles.has('root') && !roles.has('org'), JSON.stringify(notCovered));
      // A version that a record has is held against what is signed all the same.
      await signAnew((query) => rewrite(query, 2, (text) => text.replace(/"targets":\d+/, '"targets":7')));
      await covered(5);
      const differing = await report(dave);
      assert.deepEqual(
        differing.findings.map(({ code, role }) => [code, role]),
        [
          ['EQUIVOCATION', undefined],
          ['METADATA_DIFFERS', 'targets'],
        ],
      );
      dave.remove();
    });
  });
}
