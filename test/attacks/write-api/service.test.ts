/**
 * ATTACKS.md, "Tenants and service": the rows that the service has today.
 *
 * | row | where |
 * |---|---|
 * | forged or old base offered to a signer | the command that signs: it builds on what it verified |
 * | process killed between any two statements; connection lost at commit | test/server/kill.test.ts, test/server/race.test.ts |
 * | token: wrong audience, wrong issuer, key confusion | come with OIDC; here: everything that is no valid API token |
 * | redirect to an internal address | the client and `oci`: the service follows no URL |
 * | example keys used in production | comes with the example keys |
 * | parents, anchors, private tenants, restored backups | come with nesting |
 */
import assert from 'node:assert/strict';
import type { CreatedToken, Problem } from '@mandate/api';
import { emptyRole, type JsonObject } from '@mandate/metadata';
import { generateSealingKey, parseSealingKeys } from '@mandate/signing';
import { newSigner, publication, signed } from '../../server/owner.ts';
import { Client, newToken, type Answer } from '../../server/service.ts';
import { entryOf } from './draft.ts';
import { assertRefusal, behind, describeAttacks, malformed, tooFewKeys, type Victim } from './victim.ts';

const year = 365 * 86_400_000;
const unauthenticated = { status: 401, code: 'UNAUTHENTICATED' };
const notFound = { status: 404, code: 'NOT_FOUND' };
const forbidden = { status: 403, code: 'FORBIDDEN' };

let clockOffsetMs = 0;
const sealingKey = generateSealingKey();

/** What a client can tell two answers apart by. */
function visible({ status, headers, body }: Answer<Problem>): unknown {
  const { requestId: _, ...rest } = body;
  const named = [...headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
  return { status, body: rest, headers: named };
}

describeAttacks(
  'service',
  (newVictim, current) => {
    afterEach(() => {
      clockOffsetMs = 0;
    });

    function grant(victim: Victim, level: 'owner' | 'publisher' | 'reader'): Promise<Client> {
      return victim.client.with([{ tenant: victim.slug, level }]);
    }

    it('publisher of one scope publishes another', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'repo~b', 'org');
      const { owner } = victim;
      for (const level of ['publisher', 'owner'] as const) {
        const holder = victim.as(await grant(victim, level));
        const key = owner.signerFor('repo~a');
        for (const role of ['repo~b', 'org', 'reserved', 'targets']) {
          await holder.refuses({ [role]: await signed(victim.next(role), [key]) }, { ...tooFewKeys, role });
        }
        await holder.refuses(
          { root: await signed(victim.nextRoot(), [key]) },
          { ...tooFewKeys, role: 'root' },
        );
        const elsewhere = await victim.signedNext('repo~a', (draft) => {
          draft.targets['b/v1'] = entryOf('x');
        });
        await holder.refuses({ 'repo~a': elsewhere }, malformed('LAYOUT'));
        await holder.accepts({ 'repo~a': await owner.advance('repo~a') });
      }
    });

    it('replay of an old accepted proposal', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const other = await newVictim('reserved', 'repo~a', 'org');
      const old = publication({ 'repo~a': await victim.owner.advance('repo~a') });
      const first = await victim.accepts(old);
      await victim.accepts({ 'repo~a': await victim.owner.advance('repo~a') });
      const before = await victim.everything();
      const again = await victim.client.publish(victim.slug, old);
      assert.deepEqual([again.status, again.body], [200, first]);
      const stranger = await victim.client.publish(other.slug, old);
      assert.equal(stranger.status, 400);
      const files = Object.fromEntries(old.files.map(({ role, metadata }) => [role, metadata]));
      const renamed = await victim.client.publish(victim.slug, publication(files));
      assertRefusal(renamed, behind);
      const changed = { ...publication({ org: await victim.signedNext('org') }), id: old.id };
      assertRefusal(await victim.client.publish(victim.slug, changed), behind);
      assert.deepEqual(await victim.everything(), before);
      await other.refuses(publication(files), malformed('BINDING'));
    });

    it('two writers, one version', async () => {
      const victim = await newVictim('reserved', 'repo~a', 'org');
      const texts = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          victim.signedNext('repo~a', (draft) => {
            draft.targets[`a/v${i}`] = entryOf(`${i}`);
          }),
        ),
      );
      const answers = await Promise.all(
        texts.map((text) => victim.client.publish(victim.slug, publication({ 'repo~a': text }))),
      );
      const winners = answers.flatMap(({ status }, i) => (status === 201 ? [i] : []));
      assert.equal(winners.length, 1);
      for (const answer of answers) {
        if (answer.status === 201) continue;
        assertRefusal(answer, behind);
        assert.deepEqual(answer.body.current?.versions, { 'repo~a': 2 });
      }
      const [winner = -1] = winners;
      assert.equal((await victim.served('2.repo~a.json')).bytes.toString(), texts[winner]);
      await victim.refuses({ 'repo~a': texts[(winner + 1) % 8] as string }, behind);
    });

    it('token: wrong audience, wrong issuer, expired, `alg: none`, key confusion', async () => {
      const victim = await newVictim();
      const org = await victim.signedNext('org');
      const { url } = current().server;
      const right = (await grant(victim, 'publisher')).token;
      const part = (content: unknown): string => Buffer.from(JSON.stringify(content)).toString('base64url');
      const claims = part({ iss: url, aud: url, sub: 'operator', exp: 4_000_000_000 });
      for (const token of [
        '',
        newToken(),
        right.slice(0, -1),
        `${right}A`,
        `${right.slice(0, 20)}_${newToken().split('_')[2]}`,
        right.toUpperCase(),
        `${part({ alg: 'none', typ: 'JWT' })}.${claims}.`,
        `${part({ alg: 'HS256', typ: 'JWT' })}.${claims}.${part('x')}`,
      ]) {
        await victim.as(new Client(url, token)).refuses({ org }, unauthenticated);
      }
      for (const authorization of [`Basic ${Buffer.from(`x:${right}`).toString('base64')}`, right]) {
        assertRefusal(
          await victim.send(JSON.stringify(publication({ org })), { authorization }),
          unauthenticated,
        );
      }
      const path = `/v1/tenants/${victim.slug}/publications?access_token=${right}`;
      assertRefusal(await new Client(url, 'x').call('POST', path, publication({ org })), unauthenticated);

      const short = await victim.client.call<CreatedToken>('POST', '/v1/tokens', {
        label: 'short',
        grants: [{ tenant: victim.slug, level: 'publisher' }],
        expiresInSeconds: 60,
      });
      clockOffsetMs = 61_000;
      await victim.as(new Client(url, short.body.token)).refuses({ org }, unauthenticated);
      clockOffsetMs = 0;
      const deleted = await grant(victim, 'publisher');
      const { status } = await deleted.call('DELETE', `/v1/tokens/${deleted.token.split('_')[1]}`);
      assert.equal(status, 204);
      await victim.as(deleted).refuses({ org }, unauthenticated);
      await victim.as(await grant(victim, 'reader')).refuses({ org }, forbidden);
      await victim.as(await victim.client.with([], true)).refuses({ org }, forbidden);
      await victim.as(new Client(url, right)).accepts({ org });
    });

    it("reader of one tenant reaches another's metadata, names or counts", async () => {
      const victim = await newVictim();
      const mine = await newVictim();
      const stranger = await grant(mine, 'owner');
      const request = publication({ org: await victim.signedNext('org') });
      await victim.as(stranger).refuses(request, notFound);
      const theirs = await stranger.publish(victim.slug, request);
      const absent = await stranger.publish('absent', request);
      assert.deepEqual(visible(theirs), visible(absent));
      // Nor do its own tenant's refusals show what another tenant holds: ids are the only thing that they share.
      const genesis = victim.owner.genesis;
      const forged = await signed(emptyRole('org', genesis, 2, Date.now() + year), [
        mine.owner.signerFor('org'),
      ]);
      await mine.as(stranger).refuses({ org: forged }, malformed('BINDING'));
      await victim.accepts(request);
    });

    it('log or error carries a secret', async () => {
      const victim = await newVictim();
      const { log, server, operator } = current();
      const secret = (token: string): string => token.split('_').slice(2).join('_');
      const wrong = newToken();
      const reader = await grant(victim, 'reader');
      const content = { ...victim.next('org'), 'x-note': 'not for any log' } as JsonObject;
      const bad = await signed(content, [newSigner('x')]);
      const answers = await Promise.all([
        new Client(server.url, wrong).publish(victim.slug, publication({ org: bad })),
        reader.publish(victim.slug, publication({ org: bad })),
        operator.publish(victim.slug, publication({ org: bad })),
        operator.call<Problem>('POST', `/v1/tenants/${victim.slug}/publications?token=${operator.token}`, {
          [wrong]: wrong,
        }),
        operator.call<Problem>('POST', '/v1/tenants', { path: `${wrong} not for any log` }),
        victim.send(`{"id":"${wrong}`),
      ]);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [401, 403, 422, 400, 400, 400],
      );
      const said = [...log, ...answers.map(({ body }) => JSON.stringify(body))].join('\n');
      assert.ok(said.includes('request'));
      const secrets = [operator.token, wrong, reader.token].map(secret);
      for (const text of [...secrets, sealingKey, 'PRIVATE KEY', 'not for any log'])
        assert.ok(!said.includes(text), text);
    });
  },
  {
    now: () => Date.now() + clockOffsetMs,
    logLevel: 'debug',
    sealingKeys: parseSealingKeys(sealingKey),
  },
);
