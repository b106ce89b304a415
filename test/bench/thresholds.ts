/** Several keys: proposals collected and published, and what a role of 5 of 9 costs a verdict beside one of 1 of 1. */
import { sign } from 'node:crypto';
import { MemorySource, MemoryStore, Updater, verify, verifyLoaded, type Question } from '@mandate/client';
import {
  emptyRole,
  encodeEnvelope,
  keyIdOf,
  nextVersion,
  signingBytes,
  wireText,
  withDelegation,
  withTargets,
  type JsonObject,
} from '@mandate/metadata';
import { inTurns } from './measure.ts';
import { Caller, createTenant, sampleEntry, type Owned } from './owner.ts';
import { drive, rate, repositoryRole } from './publish.ts';
import type { Result } from './result.ts';
import { startService } from './service.ts';
import { buildTenant, newKey, roleWith, signedBy, year, type BenchKey } from './tenant.ts';

const writers = 32;

function newKeys(count: number): BenchKey[] {
  return Array.from({ length: count }, () => newKey());
}

function signatureOf(role: string, content: JsonObject, { publicKey, privateKey }: BenchKey): object {
  const sig = sign(null, signingBytes(content), privateKey).toString('hex');
  return { role, keyId: keyIdOf(publicKey), sig };
}

/** Hands the roles of a tenant to three people each, two of whom must sign. */
async function share(caller: Caller, tenant: Owned, roles: readonly string[]): Promise<BenchKey[][]> {
  const expires = Date.now() + year;
  const held = roles.map(() => newKeys(3));
  let targets = emptyRole('targets', tenant.genesis, 2, expires);
  const files: object[] = [];
  for (const [i, role] of roles.entries()) {
    const keys = held[i] ?? [];
    targets = withDelegation(targets, 'targets', role, {
      keys: keys.map((key) => key.publicKey),
      threshold: 2,
    });
    const content = emptyRole(role, tenant.genesis, 2, expires);
    files.push({ role, metadata: Buffer.from(signedByAll(content, keys)).toString() });
  }
  files.push({ role: 'targets', metadata: Buffer.from(signedBy(targets, tenant.key)).toString() });
  const body = { id: crypto.randomUUID(), files };
  const { status, body: answer } = await caller.send('POST', `/v1/tenants/${tenant.slug}/publications`, body);
  if (status !== 201) throw new Error(JSON.stringify(answer));
  return held;
}

function signedByAll(content: JsonObject, keys: readonly BenchKey[]): Uint8Array {
  const message = signingBytes(content);
  return encodeEnvelope(
    content,
    keys.map(({ publicKey, privateKey }) => ({
      keyId: keyIdOf(publicKey),
      sig: sign(null, message, privateKey),
    })),
  );
}

/** Each of the writers proposes with one signature, and hands in the second: two requests for one publication. */
async function proposals(seconds: number): Promise<Result[]> {
  const service = await startService();
  const caller = new Caller(service, 64);
  try {
    const roles = Array.from({ length: writers }, (_, i) => repositoryRole(i));
    const tenant = await createTenant(caller, 'shared', roles);
    const held = await share(caller, tenant, roles);
    const content = roles.map((role) => emptyRole(role, tenant.genesis, 2, Date.now() + year));
    const path = `/v1/tenants/${tenant.slug}/proposals`;
    const next = (i: number, round: number): JsonObject =>
      withTargets(
        nextVersion(content[i] as JsonObject, Date.now() + year),
        new Map([sampleEntry(`team${i}/app/v${round % 20}`)]),
      );
    const collected = await drive(writers, seconds, async (i, round) => {
      const role = roles[i] as string;
      const [first, second] = held[i] as [BenchKey, BenchKey];
      const signed = next(i, round);
      const request = {
        files: [{ role, signed: wireText(signed) }],
        signatures: [signatureOf(role, signed, first)],
      };
      const made = await caller.send('POST', path, request);
      const { number } = made.body as { number: number };
      if (made.status !== 201) throw new Error(JSON.stringify(made.body));
      const body = { signatures: [signatureOf(role, signed, second)] };
      const done = await caller.send('POST', `${path}/${number}/signatures`, body);
      const { state } = done.body as { state?: string };
      if (state !== 'published') throw new Error(JSON.stringify(done.body));
      content[i] = signed;
      return made.ms + done.ms;
    });
    // The same files with both signatures, in one request each.
    const whole = await drive(writers, seconds, async (i, round) => {
      const role = roles[i] as string;
      const signed = next(i, round);
      const metadata = Buffer.from(signedByAll(signed, (held[i] ?? []).slice(0, 2))).toString();
      const request = { id: crypto.randomUUID(), files: [{ role, metadata }] };
      const answer = await caller.send('POST', `/v1/tenants/${tenant.slug}/publications`, request);
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
      content[i] = signed;
      return answer.ms;
    });
    const name = `proposals of 2 of 3 collected and published, ${writers} writers with a role each, on ${service.database}`;
    return [
      {
        ...rate(name, collected, undefined),
        reference: { name: 'published whole, signed by two', value: whole.perSecond },
        ratio: collected.perSecond / whole.perSecond,
      },
    ];
  } finally {
    await caller.close();
    await service.stop();
  }
}

interface Asked {
  readonly question: () => Question;
}

/** A tenant whose one repository has a role of so many keys. */
function tenantOf(threshold: number, count: number, now: number): Asked {
  const keys = newKeys(count);
  const role = 'repo~app';
  const tenant = buildTenant((genesis, key, expires) => {
    const keySet = { keys: keys.map(({ publicKey }) => publicKey), threshold };
    const targets = withDelegation(emptyRole('targets', genesis, 1, expires), 'targets', role, keySet);
    const content = roleWith(['app/v1'], role, genesis, expires);
    return new Map([
      ['targets', signedBy(targets, key)],
      [role, signedByAll(content, keys)],
    ]);
  }, now);
  return {
    question: () => ({
      tenant: new Updater({
        source: new MemorySource(tenant.files),
        store: new MemoryStore(),
        pin: { genesis: tenant.genesis },
      }),
      repository: 'app',
      reference: 'v1',
    }),
  };
}

async function verdicts(now: number, rounds: number): Promise<Result[]> {
  const [many, one] = [tenantOf(5, 9, now), tenantOf(1, 1, now)];
  const policy = { maxAgeMs: 3_600_000 };
  const cold =
    ({ question }: Asked) =>
    async (): Promise<void> => {
      for (let i = 0; i < rounds; i += 1) {
        const verdict = await verify(question(), policy, now);
        if (verdict.code !== 'VERIFIED') throw new Error(verdict.code);
      }
    };
  const warm = async ({ question }: Asked): Promise<() => void> => {
    const asked = question();
    const first = await verify(asked, policy, now);
    if (first.code !== 'VERIFIED') throw new Error(first.code);
    return () => {
      for (let i = 0; i < rounds * 200; i += 1) {
        if (verifyLoaded(asked, policy, now)?.code !== 'VERIFIED') throw new Error('not verified');
      }
    };
  };
  const coldMs = await inTurns(cold(many), cold(one));
  const warmMs = await inTurns(await warm(many), await warm(one));
  const result = (name: string, times: { ours: number; reference: number }, count: number): Result => ({
    name,
    value: (times.ours * 1000) / count,
    unit: 'us',
    reference: { name: 'a role of 1 of 1', value: (times.reference * 1000) / count },
    ratio: times.ours / times.reference,
  });
  return [
    result('a cold verdict from memory by a role of 5 of 9, signed by all nine', coldMs, rounds),
    result('a warm verdict by a role of 5 of 9, signed by all nine', warmMs, rounds * 200),
  ];
}

export async function thresholdsBench(now: number, quick: boolean): Promise<Result[]> {
  return [...(await proposals(quick ? 2 : 10)), ...(await verdicts(now, quick ? 20 : 100))];
}
