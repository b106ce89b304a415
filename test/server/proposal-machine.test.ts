/**
 * Any interleaving of several signers over two processes, each a process of its own: a proposal is published if and only if the threshold of
 * distinct keys was met on exactly its bytes while it was open and its versions were the next ones.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Problem, ProposalSignature, TenantState } from '@mandate/api';
import { parseTargets, signingBytes, wireText, type JsonObject } from '@mandate/metadata';
import { generateSealingKey, type Signer } from '@mandate/signing';
import fc from 'fast-check';
import { Client as DatabaseClient, type QueryResult, type QueryResultRow } from 'pg';
import { requireChain, readTenant, type AuditRow } from './audit.ts';
import { newSigner } from './owner.ts';
import { filesOf, holders, Proposals, signatureOf, Team } from './proposer.ts';
import { Client, newToken, postgres, type Answer } from './service.ts';
import { spawnService, type ServiceProcess } from './spawn.ts';

const runs = process.env['MANDATE_CI'] === '1' ? 60 : 15;
const threshold = 2;
const expiresInSeconds = 60;

type Step =
  | { do: 'propose'; content: number; signer: number | undefined; supersedes: number | undefined }
  | { do: 'sign'; number: number; signer: number }
  | { do: 'withdraw'; number: number }
  | { do: 'publish'; content: number }
  | { do: 'wait' }
  /** A signature that is none of this proposal's: over other bytes, by somebody else, or in another's name. */
  | { do: 'forge'; number: number; how: number }
  /** Nobody can lead the tenant for a moment: what is complete waits. */
  | { do: 'stall' }
  /** The signatures that are needed, and somebody who takes the proposal back about when they are all there. */
  | { do: 'duel'; number: number; afterMs: number };

const content = fc.nat(3);
const number = fc.integer({ min: 1, max: 4 });
const signer = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('propose' as const),
      content,
      signer: fc.option(signer, { nil: undefined }),
      supersedes: fc.option(number, { nil: undefined, freq: 3 }),
    }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('sign' as const), number, signer }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('withdraw' as const), number }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('publish' as const), content }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('forge' as const), number, how: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'wait' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'stall' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('duel' as const), number, afterMs: fc.nat(40) }) },
);
/** Rounds of what happens at once, each at one of the two processes. */
const rounds = fc.array(
  fc.array(fc.record({ at: fc.nat(1), afterMs: fc.nat(30), step }), { minLength: 1, maxLength: 8 }),
  {
    minLength: 3,
    maxLength: 8,
  },
);

interface Row {
  readonly number: number;
  readonly state: string;
  readonly version: string;
  readonly text: string;
  /** Key id to signature, hex. */
  readonly signatures: Readonly<Record<string, string>> | null;
  readonly complete: boolean;
  readonly live: boolean;
  /** Of the role at that version. */
  readonly bytes: Buffer | null;
}

describe('proposals, any interleaving, PostgreSQL', function () {
  this.timeout(300_000);
  let services: ServiceProcess[] = [];
  let operator: Client;
  let connection: DatabaseClient;
  let last: Promise<unknown> = Promise.resolve();
  let drop: () => Promise<void>;
  let aheadMs = 0;
  let tenants = 0;

  before(async function () {
    postgres.prepare(this);
    const made = await postgres.database();
    drop = made.drop;
    const token = newToken();
    const environment = {
      DATABASE_URL: made.config.databaseUrl ?? '',
      MANDATE_SEALING_KEY: generateSealingKey(),
      MANDATE_OPERATOR_TOKEN: token,
      MANDATE_TEST_SETTINGS: JSON.stringify({ proposalSweepMs: 50 }),
    };
    services = [await spawnService(environment), await spawnService(environment)];
    operator = new Client(services[0]?.url ?? '', token);
    connection = new DatabaseClient({ connectionString: made.config.databaseUrl });
    await connection.connect();
  });

  after(async () => {
    for (const service of services) await service.kill('SIGTERM');
    await connection?.end();
    await drop?.();
  });

  async function moveClocks(ms: number): Promise<void> {
    aheadMs = ms;
    await Promise.all(services.map((service) => service.setClock(ms)));
  }

  /** One statement after another. */
  const database = {
    async query<R extends QueryResultRow>(text: string, values: unknown[]): Promise<QueryResult<R>> {
      const answer = last.then(() => connection.query<R>(text, values));
      last = answer.catch(() => undefined);
      return answer;
    },
  };

  async function rowsOf(slug: string): Promise<Row[]> {
    const { rows } = await database.query<Row>(
      `SELECT p.number, p.state, f.version, f.signed_text AS text, p.complete_ms IS NOT NULL AS complete,
         (SELECT json_object_agg(key_id, encode(sig, 'hex')) FROM proposal_signature s
          WHERE s.tenant_id = p.tenant_id AND s.number = p.number) AS signatures,
         EXISTS (SELECT 1 FROM publication u WHERE u.id = p.publication_id) AS live, m.bytes
       FROM proposal p JOIN tenant t ON t.id = p.tenant_id
       JOIN proposal_file f ON f.tenant_id = p.tenant_id AND f.number = p.number
       LEFT JOIN metadata_file m ON m.tenant_id = p.tenant_id AND m.role = f.role AND m.version = f.version
       WHERE t.slug = $1 ORDER BY p.number`,
      [slug],
    );
    return rows;
  }

  /** Until nothing that is complete is still open. */
  async function settled(proposals: Proposals): Promise<Row[]> {
    const end = Date.now() + 20_000;
    for (;;) {
      await proposals.list();
      const rows = await rowsOf(proposals.slug);
      if (!rows.some(({ state, complete }) => state === 'open' && complete)) return rows;
      assert.ok(Date.now() < end, 'a complete proposal stays open');
      await sleep(20);
    }
  }

  it('ends as the signatures say', async () => {
    await fc.assert(
      fc.asyncProperty(rounds, async (plan) => {
        tenants += 1;
        await moveClocks(0);
        const [one, two] = services as [ServiceProcess, ServiceProcess];
        const team = await Team.start(operator, `t${tenants}`, { org: holders('org', threshold, 3) });
        const { token } = await operator.with([{ tenant: team.slug, level: 'owner' }]);
        const sides = [one, two].map(({ url }) => new Proposals(new Client(url, token), team.slug)) as [
          Proposals,
          Proposals,
        ];
        const contents = new Map<number, JsonObject>();
        const accepted: { number: number; keyId: string }[] = [];

        async function next(n: number): Promise<JsonObject> {
          const { body } = await sides[0].client.call<TenantState>('GET', `/v1/tenants/${team.slug}`);
          const version = body.roles.find(({ name }) => name === 'org')?.version ?? 0;
          team.content.set('org', { ...(team.content.get('org') as JsonObject), version });
          return team.next('org', `app/v${n}`);
        }

        async function take(proposals: Proposals, one: Step): Promise<Answer<unknown> | undefined> {
          if (one.do === 'wait') {
            await moveClocks(aheadMs + 25_000);
            return undefined;
          }
          if (one.do === 'forge') {
            const org = contents.get(one.number) ?? (await next(0));
            const other = { ...org, version: Number(org['version']) + 1 };
            const [first, second] = team.of('org').signers as [Signer, Signer];
            const mine = await signatureOf('org', org, first);
            const forged = [
              await signatureOf('org', other, first),
              await signatureOf('org', org, newSigner('stranger')),
              { ...mine, keyId: second.keyId },
              { ...mine, sig: `${mine.sig.slice(0, -2)}${mine.sig.endsWith('00') ? '11' : '00'}` },
            ][one.how] as ProposalSignature;
            const answer = await proposals.sign(one.number, forged);
            assert.notEqual(answer.status, 200, JSON.stringify([one, answer.body]));
            return answer;
          }
          if (one.do === 'stall') {
            await database.query(
              `UPDATE lease SET token = token + 1, holder = gen_random_uuid(), wanted_by = NULL,
                 expires_at = clock_timestamp() + '50 ms'
               FROM tenant WHERE tenant.id = tenant_id AND slug = $1`,
              [team.slug],
            );
            return undefined;
          }
          if (one.do === 'duel') {
            await take(sides[0], { do: 'stall' });
            await Promise.all([
              take(sides[0], { do: 'sign', number: one.number, signer: 0 }),
              take(sides[1], { do: 'sign', number: one.number, signer: 1 }),
              sleep(one.afterMs).then(() => take(proposals, { do: 'withdraw', number: one.number })),
            ]);
            return undefined;
          }
          if (one.do === 'withdraw') return proposals.withdraw(one.number);
          if (one.do === 'publish') {
            const publication = await team.publication('org', await next(one.content));
            // Where nobody can lead while the clock goes on, its time ends; the same one may be sent again, and is here.
            for (;;) {
              const answer = await proposals.client.publish(team.slug, publication);
              if (answer.status !== 503) return answer;
              assert.equal((answer.body as Problem).code, 'UNAVAILABLE');
            }
          }
          if (one.do === 'sign') {
            const org = contents.get(one.number) ?? (await next(0));
            const signature = await team.signature('org', org, one.signer);
            const answer = await proposals.sign(one.number, signature);
            if (answer.status === 200) accepted.push({ number: one.number, keyId: signature.keyId });
            return answer;
          }
          const org = await next(one.content);
          const answer = await proposals.make({
            files: filesOf({ org }),
            expiresInSeconds,
            signatures: one.signer === undefined ? [] : [await team.signature('org', org, one.signer)],
            ...(one.supersedes === undefined ? {} : { supersedes: one.supersedes }),
          });
          if (answer.status < 300) contents.set(answer.body.number, org);
          return answer;
        }

        for (const round of plan) {
          const answers = await Promise.all(
            round.map(async ({ at, afterMs, step: one }) => {
              await sleep(afterMs);
              return take(sides[at] as Proposals, one);
            }),
          );
          for (const [i, answer] of answers.entries()) {
            if (answer === undefined || answer.status < 300) continue;
            const said = JSON.stringify([round[i], answer.body]);
            assert.ok([400, 404, 409].includes(answer.status), said);
            const { code } = answer.body as Problem;
            assert.ok(['MALFORMED', 'NOT_FOUND', 'CONFLICT'].includes(code), said);
          }
        }

        const rows = await settled(sides[1]);
        for (const row of rows) {
          // Counted here, from what is stored, over the bytes that are stored.
          const message = signingBytes(JSON.parse(row.text) as JsonObject);
          const keys = new Set(
            team
              .of('org')
              .signers.filter(({ keyId, publicKey }) => {
                const sig = row.signatures?.[keyId];
                return sig !== undefined && publicKey.verify(message, Buffer.from(sig, 'hex'));
              })
              .map(({ keyId }) => keyId),
          );
          assert.equal(
            Object.keys(row.signatures ?? {}).length,
            keys.size,
            'a signature that counts nothing',
          );
          const mine = row.bytes !== null && wireText(parseTargets(row.bytes).envelope.signed) === row.text;
          const said = JSON.stringify({ ...row, bytes: undefined, mine });
          assert.equal(row.live, row.state === 'published', said);
          if (row.state === 'published') assert.ok(mine && keys.size >= threshold, said);
          else if (row.state === 'overtaken') assert.ok(row.bytes !== null, said);
          else assert.ok(keys.size < threshold, said);
        }
        for (const { number: n, keyId } of accepted) {
          assert.ok(
            rows.find((row) => row.number === n)?.signatures?.[keyId] !== undefined,
            'a signature was lost',
          );
        }
        assert.deepEqual(
          rows.map((row) => row.number),
          rows.map((_, i) => i + 1),
        );
        const { rows: audit } = await database.query<AuditRow>(
          `SELECT seq, record, hash FROM audit JOIN tenant ON tenant.id = tenant_id WHERE slug = $1 ORDER BY seq`,
          [team.slug],
        );
        requireChain(audit);
        const byProposal = audit.flatMap(
          ({ record }) => (JSON.parse(record) as { proposal?: number }).proposal ?? [],
        );
        assert.deepEqual(
          byProposal.sort((a, b) => a - b),
          rows.filter(({ state }) => state === 'published').map((row) => row.number),
        );
        await readTenant(two.url, team.slug);
      }),
      { numRuns: runs },
    );
  });
});
