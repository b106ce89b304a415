/** Proposals collect signatures and go live by themselves. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiLimits, type Problem, type ProposalSignature } from '@mandate/api';
import {
  emptyRole,
  nextRoot,
  parseRoot,
  parseTargets,
  wireText,
  withBins,
  withDelegation,
  withoutDelegation,
  withTargets,
  type JsonObject,
} from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import { newSigner } from './owner.ts';
import { filesOf, holders, keysOf, Proposals, signatureOf, target, Team, type Holders } from './proposer.ts';
import { describeService, servedFile } from './service.ts';

describeService(
  'proposals',
  (current) => {
    let tenants = 0;

    async function start(threshold: number, count: number): Promise<{ team: Team; proposals: Proposals }> {
      tenants += 1;
      const { operator } = current();
      const team = await Team.start(operator, `t${tenants}`, {
        org: holders('org', threshold, count),
        'repo~a': holders('a', 2, 3),
      });
      return { team, proposals: new Proposals(operator, team.slug) };
    }

    for (const [threshold, count] of [
      [2, 3],
      [3, 5],
      [5, 9],
    ] as const) {
      it(`${threshold} of ${count}: goes live with the last signature that is needed, not before`, async () => {
        const { team, proposals } = await start(threshold, count);
        const content = team.next('org', 'app/v1');
        const made = await proposals.make({ files: filesOf({ org: content }), message: 'first' });
        assert.equal(made.status, 201, JSON.stringify(made.body));
        assert.deepEqual(
          [made.body.number, made.body.state, made.body.complete, made.body.files],
          [1, 'open', false, [{ role: 'org', version: 2 }]],
        );
        for (let i = 0; i < threshold; i += 1) {
          const before = await proposals.show(1);
          assert.equal(before.body.state, 'open');
          assert.deepEqual(
            before.body.requirements.map(({ role, by, distinct, met, missing }) => [
              role,
              by,
              distinct,
              met,
              missing.length,
            ]),
            [['org', 'targets', i, false, count - i]],
          );
          const answer = await proposals.sign(1, await team.signature('org', content, count - 1 - i));
          assert.equal(answer.status, 200, JSON.stringify(answer.body));
          assert.equal(answer.body.state, i === threshold - 1 ? 'published' : 'open');
        }
        const after = await proposals.show(1);
        assert.equal(after.body.state, 'published');
        assert.deepEqual(after.body.publication?.versions, { org: 2 });
        assert.equal(after.body.signatures.length, threshold);
        const file = parseTargets(await servedFile(current().server.url, team.slug, '2.org.json'));
        assert.deepEqual(file.envelope.signed, content);
        assert.equal(file.envelope.signatures.length, threshold);
      });
    }

    it('joins what is proposed twice, and answers what is live already', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('org', 'app/v1');
      const files = filesOf({ org: content });
      const one = await proposals.make({ files, signatures: [await team.signature('org', content, 0)] });
      assert.equal(one.status, 201);
      const again = await proposals.make({ files, signatures: [await team.signature('org', content, 0)] });
      assert.deepEqual([again.status, again.body.number, again.body.state], [200, 1, 'open']);
      const two = await proposals.make({ files, signatures: [await team.signature('org', content, 2)] });
      assert.deepEqual([two.status, two.body.number, two.body.state], [200, 1, 'published']);
      const replay = await proposals.make({ files, signatures: [await team.signature('org', content, 1)] });
      assert.deepEqual([replay.status, replay.body.number, replay.body.state], [200, 1, 'published']);
      assert.deepEqual(replay.body.signed['org']?.length, 2);
      const repeated = await proposals.sign(1, await team.signature('org', content, 0));
      assert.deepEqual([repeated.status, repeated.body.state], [200, 'published']);
      const late = await proposals.sign(1, await team.signature('org', content, 1));
      assert.deepEqual([late.status, late.body.code], [409, 'CONFLICT']);
    });

    it('goes live at once where every signature comes along', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('org', 'app/v1');
      const signatures = [await team.signature('org', content, 0), await team.signature('org', content, 1)];
      const made = await proposals.make({ files: filesOf({ org: content }), signatures });
      assert.deepEqual([made.status, made.body.state], [201, 'published']);
    });

    it('puts several files live together or not at all', async () => {
      const { team, proposals } = await start(2, 3);
      const contents = { org: team.next('org', 'app/v1'), 'repo~a': team.next('repo~a', 'a/v1') };
      await proposals.make({ files: filesOf(contents) });
      for (const holder of [0, 1]) await proposals.sign(1, await team.signature('org', contents.org, holder));
      const half = await proposals.show(1);
      assert.deepEqual(
        half.body.requirements.map(({ role, met }) => [role, met]),
        [
          ['org', true],
          ['repo~a', false],
        ],
      );
      assert.equal(half.body.state, 'open');
      const { url } = current().server;
      assert.equal((await fetch(`${url}/tuf/${team.slug}/metadata/2.org.json`)).status, 404);
      const last = await proposals.sign(
        1,
        await team.signature('repo~a', contents['repo~a'], 0),
        await team.signature('repo~a', contents['repo~a'], 1),
      );
      assert.equal(last.body.state, 'published');
      assert.deepEqual(last.body.publication?.versions, { org: 2, 'repo~a': 2 });
    });

    it('a root needs the old threshold and the new one, and shows both', async () => {
      tenants += 1;
      const { operator, server } = current();
      const old = holders('root', 2, 3);
      const team = await Team.start(operator, `t${tenants}`, { root: old, org: holders('org', 1, 1) });
      const proposals = new Proposals(operator, team.slug);
      const fresh = holders('fresh', 2, 2);
      const [kept] = old.signers as [Signer, Signer, Signer];
      const next: Holders = { threshold: 2, signers: [kept, ...fresh.signers] };
      const root = parseRoot(await servedFile(server.url, team.slug, '1.root.json'));
      const content = nextRoot(root, { root: keysOf(next) }, team.expires);
      const made = await proposals.make({ files: filesOf({ root: content }) });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const steps: [Signer, number, number][] = [
        [fresh.signers[0] as Signer, 0, 1],
        [fresh.signers[1] as Signer, 0, 2],
        [old.signers[1] as Signer, 1, 2],
      ];
      for (const [signer, before, own] of steps) {
        const { body } = await proposals.sign(1, await signatureOf('root', content, signer));
        assert.equal(body.state, 'open');
        assert.deepEqual(
          body.requirements.map(({ by, distinct, threshold }) => [by, distinct, threshold]),
          [
            ['root before', before, 2],
            ['root', own, 2],
          ],
        );
      }
      const { body } = await proposals.sign(1, await signatureOf('root', content, kept));
      assert.equal(body.state, 'published');
      const live = parseRoot(await servedFile(server.url, team.slug, 'root.json'));
      assert.equal(live.version, 2);
      assert.deepEqual(
        [...live.roles.root.keys.keys()].sort(),
        next.signers.map(({ keyId }) => keyId).sort(),
      );
    });

    it('carries a role with its bins, each signed for itself', async () => {
      const { team, proposals } = await start(2, 3);
      const bins = ['bins~org-0', 'bins~org-1'];
      const contents = {
        org: withBins(team.next('org'), 'org', 1, keysOf(team.of('org'))),
        ...Object.fromEntries(bins.map((bin) => [bin, emptyRole(bin, team.genesis, 1, team.expires)])),
      } as Record<string, JsonObject>;
      await proposals.make({ files: filesOf(contents) });
      for (const holder of [2, 0]) {
        const signatures = await Promise.all(
          Object.entries(contents).map(async ([role, content]) => ({
            ...(await team.signature('org', content, holder)),
            role,
          })),
        );
        await proposals.sign(1, ...signatures);
      }
      const { body } = await proposals.show(1);
      assert.deepEqual(
        [body.state, body.publication?.versions],
        ['published', { org: 2, 'bins~org-0': 1, 'bins~org-1': 1 }],
      );
    });

    it('takes no signature that would not count, and none of the others with it', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('org', 'app/v1');
      await proposals.make({ files: filesOf({ org: content }) });
      const good = await team.signature('org', content, 0);
      const other = team.next('org', 'app/v2');
      const outside = await signatureOf('org', content, newSigner('outside'));
      const elsewhere = await signatureOf('org', content, team.of('repo~a').signers[0] as Signer);
      const wrong: [string, ProposalSignature][] = [
        ['over other content', { ...(await team.signature('org', other, 1)) }],
        ['by a stranger', outside],
        ['by a key of another role', elsewhere],
        ['of another key', { ...good, keyId: team.of('org').signers[1]?.keyId ?? '' }],
        ['junk', { ...good, keyId: team.of('org').signers[1]?.keyId ?? '', sig: 'ab'.repeat(64) }],
        ['for a role that is not there', { ...good, role: 'repo~a' }],
        ['twice, differently', { ...good, sig: 'cd'.repeat(64) }],
        ['not hex', { ...good, sig: 'xyz' }],
        ['empty', { ...good, sig: '' }],
      ];
      for (const [what, signature] of wrong) {
        const answer = await proposals.sign(1, good, signature);
        assert.deepEqual([answer.status, answer.body.code], [400, 'MALFORMED'], what);
        assert.deepEqual((await proposals.show(1)).body.signatures, [], what);
      }
      const named = await proposals.sign(1, outside);
      assert.equal(named.body.role, 'org');
      assert.match(named.body.detail, new RegExp(outside.keyId));
      assert.equal(
        (await proposals.sign(1, good, await team.signature('org', content, 1))).body.state,
        'published',
      );
    });

    it('takes no junk by the thousand', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('org', 'app/v1');
      await proposals.make({ files: filesOf({ org: content }) });
      const junk = Array.from({ length: 5_000 }, (_, i) => ({
        role: 'org',
        keyId: i.toString(16).padStart(64, '0'),
        sig: 'ab'.repeat(64),
      }));
      assert.equal((await proposals.sign(1, ...junk)).status, 400);
      assert.equal((await proposals.sign(1, ...junk, ...junk)).status, 400);
      const [one] = junk as [ProposalSignature];
      assert.equal((await proposals.sign(1, { ...one, sig: 'ab'.repeat(5_000_000) })).status, 413);
      const shown = await proposals.show(1);
      assert.deepEqual(shown.body.signatures, []);
    });

    it('one key under two names counts once: it is not delegated to', async () => {
      const { team, proposals } = await start(2, 3);
      const [signer] = team.of('org').signers as [Signer];
      const one = withDelegation(team.next('targets'), 'targets', 'repo~b', {
        keys: [signer.publicKey],
        threshold: 1,
      });
      const { keyId } = signer;
      const text = wireText(one).replace(`"keyids":["${keyId}"],"name":"repo~b"`, (found) =>
        found.replace(']', `,"${'f'.repeat(64)}"]`),
      );
      const targets = JSON.parse(
        text.replace('"keys":{', `"keys":{"${'f'.repeat(64)}":${JSON.stringify(signer.publicKey.wire)},`),
      ) as JsonObject;
      assert.ok(text.includes(`["${keyId}","ffff`));
      const role = emptyRole('repo~b', team.genesis, 1, team.expires);
      const made = await proposals.make({ files: filesOf({ targets, 'repo~b': role }) });
      assert.deepEqual([made.status, made.body.code, made.body.reason], [400, 'MALFORMED', 'KEY']);
      assert.deepEqual((await proposals.list()).body.proposals, []);
    });

    it('stores no proposal that could not go live', async () => {
      const { team, proposals } = await start(2, 3);
      const next = team.next('org', 'app/v1');
      const stranger = emptyRole('repo~z', team.genesis, 1, team.expires);
      const cases: [Parameters<Proposals['make']>[0], number, string][] = [
        [{ files: filesOf({ org: team.content.get('org') as JsonObject }) }, 409, 'CONFLICT'],
        [{ files: filesOf({ org: { ...next, version: 3 } }) }, 409, 'CONFLICT'],
        [{ files: filesOf({ 'repo~z': stranger }) }, 400, 'MALFORMED'],
        [{ files: filesOf({ 'repo~a': next }) }, 400, 'MALFORMED'],
        [{ files: [...filesOf({ org: next }), ...filesOf({ org: next })] }, 400, 'MALFORMED'],
        [{ files: [{ role: 'org', signed: ` ${wireText(next)}` }] }, 400, 'MALFORMED'],
        [{ files: [{ role: 'org', signed: `${wireText(next)},"signed":{}` }] }, 400, 'MALFORMED'],
        [{ files: filesOf({ org: { ...next, expires: '2020-01-01T00:00:00Z' } }) }, 422, 'EXPIRED'],
        [{ files: filesOf({ org: next }), message: 'a\u001b[31m' }, 400, 'MALFORMED'],
        [{ files: filesOf({ org: next }), supersedes: 99 }, 409, 'CONFLICT'],
        [
          { files: filesOf({ org: next }), targets: [{ path: '~policy/x', content: 'aGk=' }] },
          400,
          'MALFORMED',
        ],
      ];
      for (const [request, status, code] of cases) {
        const answer = await proposals.make(request);
        assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
      }
      const list = await proposals.list();
      assert.deepEqual(list.body.proposals, []);
    });

    it('brings stored target files along', async () => {
      const { team, proposals } = await start(2, 3);
      const keys = holders('policy', 1, 1);
      const targets = withDelegation(team.next('targets'), 'targets', 'policy', keysOf(keys));
      const policy = withTargets(
        emptyRole('policy', team.genesis, 1, team.expires),
        new Map([['~policy/main', target('text')]]),
      );
      const made = await proposals.make({
        files: filesOf({ targets, policy }),
        targets: [{ path: '~policy/main', content: Buffer.from('text').toString('base64') }],
        signatures: [await team.signature('targets', targets, 0)],
      });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const last = await proposals.sign(1, await signatureOf('policy', policy, keys.signers[0] as Signer));
      assert.equal(last.body.state, 'published');
      const sha256 = target('text').digest.slice(7);
      const file = await fetch(`${current().server.url}/tuf/${team.slug}/targets/~policy/${sha256}.main`);
      assert.equal(await file.text(), 'text');
    });

    it('is withdrawn by who made it or an owner, once, and takes no more signatures', async () => {
      const { team, proposals } = await start(2, 3);
      const { operator } = current();
      const grant = (level: 'publisher' | 'reader') => operator.with([{ tenant: team.slug, level }]);
      const mine = new Proposals(await grant('publisher'), team.slug);
      const theirs = new Proposals(await grant('publisher'), team.slug);
      const reader = new Proposals(await grant('reader'), team.slug);
      const content = team.next('org', 'app/v1');
      const signature = await team.signature('org', content, 0);
      assert.equal((await reader.make({ files: filesOf({ org: content }) })).status, 403);
      await mine.make({ files: filesOf({ org: content }) });
      await theirs.sign(1, signature);
      assert.equal((await reader.sign(1, await team.signature('org', content, 1))).status, 403);
      assert.equal((await reader.withdraw(1)).status, 403);
      assert.equal((await theirs.withdraw(1)).status, 403);
      const done = await mine.withdraw(1, 'a typo');
      assert.deepEqual([done.status, done.body.state, done.body.reason], [200, 'withdrawn', 'a typo']);
      assert.equal((await mine.withdraw(1)).status, 200);
      assert.equal((await theirs.sign(1, signature)).status, 200, 'it is there');
      const late = await theirs.sign(1, await team.signature('org', content, 1));
      assert.deepEqual([late.status, late.body.code], [409, 'CONFLICT']);
      assert.equal((await reader.show(1)).body.state, 'withdrawn');

      // The same content again is another proposal, without the signatures of the one before.
      const second = await mine.make({ files: filesOf({ org: content }) });
      assert.deepEqual([second.status, second.body.number, second.body.signed], [201, 2, {}]);
      assert.equal((await proposals.withdraw(2)).body.state, 'withdrawn', 'an owner');
    });

    it('is superseded by its own people', async () => {
      const { team, proposals } = await start(2, 3);
      const { operator } = current();
      const other = new Proposals(
        await operator.with([{ tenant: team.slug, level: 'publisher' }]),
        team.slug,
      );
      const one = team.next('org', 'app/v1');
      const two = team.next('org', 'app/v2');
      await proposals.make({
        files: filesOf({ org: one }),
        signatures: [await team.signature('org', one, 0)],
      });
      const refused = await other.make({ files: filesOf({ org: two }), supersedes: 1 });
      assert.equal(refused.status, 403);
      assert.equal((await proposals.list()).body.proposals.length, 1);
      for (const status of [201, 200]) {
        const made = await proposals.make({ files: filesOf({ org: two }), supersedes: 1 });
        assert.deepEqual([made.status, made.body.number, made.body.signed], [status, 2, {}]);
      }
      const old = await proposals.show(1);
      assert.deepEqual([old.body.state, old.body.supersededBy], ['superseded', 2]);
      assert.equal((await proposals.sign(1, await team.signature('org', one, 1))).status, 409);
      assert.deepEqual(
        (await proposals.list('?state=open')).body.proposals.map(({ number }) => number),
        [2],
      );
    });

    it('several for one role: the first to be complete goes live, the others say what overtook them', async () => {
      const { team, proposals } = await start(2, 3);
      const contents = ['app/v1', 'app/v2', 'app/v3'].map((path) => team.next('org', path));
      for (const org of contents) {
        const signatures = [await team.signature('org', org, 0)];
        await proposals.make({ files: filesOf({ org }), signatures });
      }
      const [, middle] = contents as [JsonObject, JsonObject];
      const won = await proposals.sign(2, await team.signature('org', middle, 1));
      assert.equal(won.body.state, 'published');
      for (const number of [1, 3]) {
        const { body } = await proposals.show(number);
        assert.deepEqual(
          [body.state, body.overtakenBy, body.current?.versions, body.requirements],
          ['overtaken', 2, { org: 2 }, []],
        );
      }
      const late = await proposals.sign(3, await team.signature('org', contents[2] as JsonObject, 1));
      assert.deepEqual(
        [late.status, late.body.code, late.body.current?.versions],
        [409, 'CONFLICT', { org: 2 }],
      );

      // On top of what is live now, asked again; the overtaken one names its successor.
      team.content.set('org', middle);
      const rebased = team.next('org', 'app/v3');
      const made = await proposals.make({ files: filesOf({ org: rebased }), supersedes: 3 });
      assert.deepEqual([made.status, made.body.number, made.body.signed], [201, 4, {}]);
      const { body } = await proposals.show(3);
      assert.deepEqual([body.state, body.supersededBy], ['overtaken', 4]);
    });

    it('is overtaken by a publication, and the list says so', async () => {
      const { team, proposals } = await start(2, 3);
      await proposals.make({ files: filesOf({ org: team.next('org', 'app/v1') }) });
      await proposals.make({ files: filesOf({ 'repo~a': team.next('repo~a', 'a/v1') }) });
      const published = await current().operator.publish(
        team.slug,
        await team.publication('org', team.next('org', 'app/v9')),
      );
      assert.equal(published.status, 201);
      const { proposals: all } = (await proposals.list()).body;
      assert.deepEqual(
        all.map(({ number, state, overtakenBy }) => [number, state, overtakenBy]),
        [
          [2, 'open', undefined],
          [1, 'overtaken', undefined],
        ],
      );
      assert.match(all[1]?.reason ?? '', /org is at version 2/);
      assert.equal(all[1]?.current?.snapshotVersion, published.body.snapshotVersion);
    });

    it('asks the keys that count now', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('repo~a', 'a/v1');
      await proposals.make({
        files: filesOf({ 'repo~a': content }),
        signatures: [await team.signature('repo~a', content, 0)],
      });
      // The first signer loses the role; the file that is live is signed by all three, so it stands.
      const [, second, third] = team.of('repo~a').signers as [Signer, Signer, Signer];
      const without = { keys: [second.publicKey, third.publicKey], threshold: 2 };
      const targets = withDelegation(
        withoutDelegation(team.next('targets'), 'repo~a'),
        'targets',
        'repo~a',
        without,
      );
      const changed = await current().operator.publish(team.slug, await team.publication('targets', targets));
      assert.equal(changed.status, 201, JSON.stringify(changed.body));
      const shown = await proposals.show(1);
      assert.deepEqual(
        shown.body.requirements.map(({ distinct, missing }) => [distinct, missing.length]),
        [[0, 2]],
      );
      const one = await proposals.sign(1, await signatureOf('repo~a', content, second));
      assert.equal(one.body.state, 'open', 'the first signature counts no more');
      const two = await proposals.sign(1, await signatureOf('repo~a', content, third));
      assert.equal(two.body.state, 'published');
      const file = parseTargets(await servedFile(current().server.url, team.slug, '2.repo~a.json'));
      assert.equal(file.envelope.signatures.length, 2);
    });

    it('goes live when the threshold comes down to it', async () => {
      const { team, proposals } = await start(2, 3);
      const content = team.next('repo~a', 'a/v1');
      await proposals.make({
        files: filesOf({ 'repo~a': content }),
        signatures: [await team.signature('repo~a', content, 0)],
      });
      const targets = withDelegation(withoutDelegation(team.next('targets'), 'repo~a'), 'targets', 'repo~a', {
        ...keysOf(team.of('repo~a')),
        threshold: 1,
      });
      await current().operator.publish(team.slug, await team.publication('targets', targets));
      const end = Date.now() + 10_000;
      while ((await proposals.show(1)).body.state === 'open' && Date.now() < end) await sleep(50);
      assert.equal((await proposals.show(1)).body.state, 'published');
    });

    it('is overtaken when nobody delegates to its role any more', async () => {
      const { team, proposals } = await start(2, 3);
      await proposals.make({ files: filesOf({ 'repo~a': team.next('repo~a', 'a/v1') }) });
      const targets = withoutDelegation(team.next('targets'), 'repo~a');
      await current().operator.publish(team.slug, await team.publication('targets', targets));
      const { body } = await proposals.show(1);
      assert.equal(body.state, 'overtaken');
    });

    it('gives one answer for what is not there and what is not yours', async () => {
      const { team, proposals } = await start(2, 3);
      const { operator } = current();
      await proposals.make({ files: filesOf({ org: team.next('org', 'app/v1') }) });
      tenants += 1;
      const other = await Team.start(operator, `t${tenants}`, {});
      const stranger = await operator.with([{ tenant: other.slug, level: 'owner' }]);
      const about = async (slug: string): Promise<unknown> => {
        const answers = [
          await new Proposals(stranger, slug).show(1),
          await new Proposals(stranger, slug).list(),
          await new Proposals(stranger, slug).make({ files: [] }),
          await new Proposals(stranger, slug).sign(1),
          await new Proposals(stranger, slug).withdraw(1),
        ];
        return answers.map(({ status, body }) => [status, { ...body, requestId: '' }]);
      };
      assert.deepEqual(await about(team.slug), await about('absent'));
      for (const number of ['2', '0', 'x', '99999999999999']) {
        const answer = await operator.call<Problem>('GET', `/v1/tenants/${team.slug}/proposals/${number}`);
        assert.deepEqual([answer.status, answer.body.code], [404, 'NOT_FOUND'], number);
      }
      assert.equal((await proposals.list('?state=none')).status, 400);
      assert.equal((await proposals.list('?before=x')).status, 400);
    });

    it('keeps so many open and no more, and lists them in pages', async () => {
      const { team, proposals } = await start(2, 3);
      for (let i = 0; i < apiLimits.openProposals; i += 1) {
        const made = await proposals.make({ files: filesOf({ org: team.next('org', `app/v${i}`) }) });
        assert.equal(made.status, 201);
      }
      const files = filesOf({ org: team.next('org', 'app/more') });
      const refused = await proposals.make({ files });
      assert.deepEqual([refused.status, refused.body.code], [422, 'LIMIT_EXCEEDED']);
      assert.equal((await proposals.withdraw(7)).status, 200);
      assert.equal((await proposals.make({ files })).body.number, apiLimits.openProposals + 1);
      const page = await proposals.list();
      assert.equal(page.body.proposals.length, apiLimits.proposalPage);
      const rest = await proposals.list(`?before=${page.body.next}`);
      assert.deepEqual(
        rest.body.proposals.map(({ number }) => number),
        [1],
      );
      assert.equal(rest.body.next, undefined);
    });
  },
  { proposalSweepMs: 100 },
);
