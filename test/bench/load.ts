/** Loading and verifying large files, against what the engine needs for the same bytes at least. */
import { createHash, verify } from 'node:crypto';
import { keyIdOf, matches, parseEnvelope, parseTargets, requireThreshold, sha256Of } from '@mandate/metadata';
import { inTurns } from './measure.ts';
import { otherClients, tufJsParse } from './others.ts';
import { atMost, type Result } from './result.ts';
import { delegating, newKey, roleWith, signedBy, year, type BenchKey } from './tenant.ts';

const reference = 'JSON.parse + sha256 + one verification';

async function loadResult(name: string, bytes: Uint8Array, key: BenchKey): Promise<Result> {
  const keySet = { keys: new Map([[keyIdOf(key.publicKey), key.publicKey]]), threshold: 1 };
  const entry = { length: bytes.length, hashes: { sha256: sha256Of(bytes).slice(7) } };
  const { signedBytes, signatures } = parseEnvelope(bytes, Number.MAX_SAFE_INTEGER);
  const sig = signatures[0]?.sig ?? new Uint8Array();
  const times = await inTurns(
    () => {
      if (!matches(bytes, entry)) throw new Error('the hash differs');
      requireThreshold(parseTargets(bytes).envelope, keySet, 'role');
    },
    () => {
      JSON.parse(Buffer.from(bytes).toString());
      createHash('sha256').update(bytes).digest();
      verify(null, signedBytes, key.keyObject, sig);
    },
    15,
  );
  return atMost(3, {
    name,
    value: times.ours,
    unit: 'ms',
    reference: { name: reference, value: times.reference },
  });
}

function paths(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `team/app${i % 500}/v${i}`);
}

export async function loadBench(now: number): Promise<Result[]> {
  const key = newKey();
  const genesis = sha256Of('bench');
  const expires = now + year;
  const role = (count: number) => signedBy(roleWith(paths(count), 'org', genesis, expires), key);
  const perTarget = (role(2000).length - role(1000).length) / 1000;
  const full = Math.floor(4_950_000 / perTarget);
  const largeName = `load a role file of 5 MB, ${full} targets`;
  const smallName = `load ${Math.floor(full / 10)} targets`;
  const large = await loadResult(largeName, role(full), key);
  const small = await loadResult(smallName, role(Math.floor(full / 10)), key);
  const keyHex = Buffer.from(key.keyObject.export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
  const results = [
    large,
    ...(await otherClients(largeName, role(full), keyHex, large.value)),
    small,
    tufJsParse(smallName, role(Math.floor(full / 10)), small.value),
  ];
  results.push(
    atMost(1.5, {
      name: 'time per target, the 5 MB file against a tenth of it',
      value: (large.value / full) * 1000,
      unit: 'us',
      reference: {
        name: 'per target in the smaller file',
        value: (small.value / Math.floor(full / 10)) * 1000,
      },
    }),
  );
  const repositories = Array.from({ length: 10_000 }, (_, i) => `team/app${i}`);
  const keys = repositories.map(() => newKey().publicKey);
  const delegations = delegating(repositories, (i) => keys[i] ?? key.publicKey, genesis, expires);
  results.push(await loadResult('load 10,000 delegations with a key each', signedBy(delegations, key), key));
  return results;
}
