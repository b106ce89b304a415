/** 1,000 delegated orgs, one artifact each, cold, from memory: against the bare signature verifications. */
import { verify } from 'node:crypto';
import { lookupTarget, parseEnvelope, servedName, TrustedMetadata } from '@mandate/metadata';
import { inTurns } from './measure.ts';
import { atMost, type Result } from './result.ts';
import { buildTenant, delegating, newKey, roleWith, signedBy, type BenchTenant } from './tenant.ts';

/** @param withFiles how many of the orgs have a role file; looking the others up would find none */
export function tenantOfOrgs(count: number, now: number, withFiles: number = count): BenchTenant {
  return buildTenant((genesis, key, expires) => {
    const repositories = Array.from({ length: count }, (_, i) => `org${i}/app`);
    const keys = repositories.map(() => newKey());
    const keyAt = (i: number) => keys[i] ?? key;
    const roles = new Map([
      [
        'targets',
        signedBy(
          delegating(repositories, (i) => keyAt(i).publicKey, genesis, expires),
          key,
        ),
      ],
    ]);
    for (const [i, repository] of repositories.slice(0, withFiles).entries()) {
      const role = `repo~${repository.replaceAll('/', '~')}`;
      roles.set(role, signedBy(roleWith([`${repository}/v1`], role, genesis, expires), keyAt(i)));
    }
    return roles;
  }, now);
}

function file(tenant: BenchTenant, name: string): Uint8Array {
  const bytes = tenant.files.get(name);
  if (bytes === undefined) throw new Error(`no file ${name}`);
  return bytes;
}

/** Loads what the walk needs from memory and returns how many paths were found. */
function walkAll(tenant: BenchTenant, paths: readonly string[], now: number): number {
  const trusted = TrustedMetadata.fromTrustedRoot(file(tenant, '1.root.json'));
  trusted.requireFreshRoot(now);
  trusted.updateTimestamp(file(tenant, 'timestamp.json'), now);
  trusted.updateSnapshot(file(tenant, servedName('snapshot', now)), now);
  let found = 0;
  for (const path of paths) {
    for (;;) {
      const answer = lookupTarget(trusted, path, now);
      if ('load' in answer) {
        const bytes = file(tenant, servedName(answer.load, trusted.listed(answer.load).version));
        trusted.updateRole(answer.load, answer.delegator, bytes, now);
        continue;
      }
      if ('found' in answer) found += 1;
      break;
    }
  }
  return found;
}

export async function orgsBench(now: number): Promise<Result[]> {
  const count = 1000;
  const tenant = tenantOfOrgs(count, now);
  const paths = Array.from({ length: count }, (_, i) => `org${i}/app/v1`);
  const signatures = [...tenant.files.values()].map((bytes) => parseEnvelope(bytes, Number.MAX_SAFE_INTEGER));
  const key = newKey();
  const times = await inTurns(
    () => {
      if (walkAll(tenant, paths, now) !== count) throw new Error('a path was not found');
    },
    () => {
      for (const { signedBytes, signatures: list } of signatures) {
        verify(null, signedBytes, key.keyObject, list[0]?.sig ?? new Uint8Array());
      }
    },
    5,
  );
  return [
    atMost(3, {
      name: '1,000 delegated orgs, one artifact each, cold, from memory',
      value: times.ours,
      unit: 'ms',
      reference: { name: 'the bare signature verifications', value: times.reference },
    }),
  ];
}
