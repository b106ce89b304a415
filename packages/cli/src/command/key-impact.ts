/** What hangs on one key, tenant by tenant. */
import { keyIdOf } from '@mandate/metadata';
import type { TrustedTenant } from '@mandate/client';
import type { Context } from '../context.ts';
import { chosenKey } from '../key-choice.ts';
import { keyText, type Names } from '../key-id.ts';
import type { Outcome } from '../outcome.ts';
import { keyImpact, keysOfTenant, type KeyImpact } from '../signer/key-impact.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { loadTrust, openTenant, trustedTenant } from '../trust.ts';

interface TenantImpact extends KeyImpact {
  readonly tenant: string;
  readonly keyId: string;
}

async function impactOn(context: Context, text: string, trusted: TrustedTenant): Promise<TenantImpact> {
  const base = await context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    verifiedBase(await openTenant(context, trusted), context.now()),
  );
  const key = await chosenKey(keyringOf(context, []), text, await keysOfTenant(base));
  const found = await context.terminal.progress('looking at every role', () => keyImpact(base, key));
  return { tenant: trusted.tenant, keyId: keyIdOf(key), ...found };
}

export async function impact(context: Context, text: string, name: string | undefined): Promise<Outcome> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const found: TenantImpact[] = [];
  for (const trusted of tenants) found.push(await impactOn(context, text, trusted));
  const names = await keyringOf(context, []).names();
  return {
    text: found.map((one) => impactText(one, names)).join('\n\n'),
    json: {
      tenants: found.map(({ tenant, keyId, roles, artifacts }) => ({
        tenant,
        keyId,
        roles: roles.map(({ keySet, ...role }) => ({
          ...role,
          threshold: keySet.threshold,
          keys: keySet.keys.size,
        })),
        artifacts: [...artifacts].map(([path, role]) => ({ path, role })),
      })),
    },
    hints: found
      .filter(({ roles }) => roles.length > 0)
      .map(({ tenant }) => `if it is lost or stolen: mandate revoke key ${text} ${tenant}`),
  };
}

function impactText({ tenant, keyId, roles, artifacts }: TenantImpact, names: Names): string {
  const head = `key ${keyText(keyId, undefined, names)} in tenant ${tenant}`;
  if (roles.length === 0) return `${head}: no role names it`;
  const rows = roles.map(({ role, delegator, keySet, left, below, restingFiles }) => [
    role,
    delegator,
    `${keySet.threshold} of ${keySet.keys.size}`,
    below ? `BELOW THRESHOLD, ${left} left` : `${left} left`,
    restingFiles === 0
      ? 'stands without it'
      : `rests on it${restingFiles > 1 ? ` (${restingFiles} files)` : ''}`,
  ]);
  const paths = [...artifacts].slice(0, 50).map(([path, role]) => `  ${path}  (role ${role})`);
  return [
    head,
    table(['role', 'delegated by', 'signed by', 'without the key', 'signed now'], rows),
    artifacts.size === 0
      ? 'no artifact rests on its signature alone'
      : `${artifacts.size} entries that fall without its signature:`,
    ...paths,
    ...(artifacts.size > paths.length ? [`  ... and ${artifacts.size - paths.length} more`] : []),
  ].join('\n');
}
