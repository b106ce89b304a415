/** Every kind of principal, as seen from the private tenant `acme/labs` below the public tenant `acme`. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { CreatedToken, GrantLevel } from '@mandate/api';
import type { OidcIssuer } from '../support/oidc-issuer.ts';
import { registryToken, type RegistryTokenIssuer } from '../support/registry-token.ts';
import type { Client } from './service.ts';

export interface Principal {
  /** At the head of its column. */
  readonly name: string;
  /** In a sentence. */
  readonly who: string;
  /** Undefined: no `Authorization` at all. */
  readonly token: string | undefined;
  /** Not a good token. */
  readonly bad?: true;
  readonly operator?: true;
  /** What its grants come to in `acme/labs`. */
  readonly level?: GrantLevel;
  /** What they come to in `acme`. */
  readonly parentLevel?: GrantLevel;
}

export const workloads = [
  { id: 'release', claims: { repository: 'acme/labs', ref: 'refs/tags/v1' } },
  { id: 'admin', claims: {} },
  { id: 'fork', claims: { repository: 'evil/labs', ref: 'refs/tags/v1' } },
] as const;

export async function principals(
  operator: Client,
  issuer: OidcIssuer,
  registry: RegistryTokenIssuer,
): Promise<Principal[]> {
  const token = async (tenant: string, level: GrantLevel, inherit = false): Promise<string> =>
    (await operator.with([{ tenant, level, ...(inherit ? { inherit } : {}) }])).token;
  const claims = { repository: 'acme/labs', ref: 'refs/tags/*' };
  const rule = { level: 'publisher', oidc: { issuer: issuer.url, claims } };
  await operator.call('POST', '/v1/tenants/acme~labs/grants', rule);
  const short = await operator.call<CreatedToken>('POST', '/v1/tokens', {
    label: 'short',
    grants: [{ tenant: 'acme~labs', level: 'owner' }],
    expiresInSeconds: 1,
  });
  await sleep(1_050);
  const scope = (...scopes: string[]): Promise<string> => registryToken(registry, scopes);
  return [
    { name: 'nobody', who: 'a request without a token', token: undefined },
    {
      name: 'expired',
      who: 'an owner of the tenant whose token has expired',
      token: short.body.token,
      bad: true,
    },
    {
      name: 'reader',
      who: 'a reader of the tenant',
      token: await token('acme~labs', 'reader'),
      level: 'reader',
    },
    {
      name: 'publisher',
      who: 'a publisher of the tenant',
      token: await token('acme~labs', 'publisher'),
      level: 'publisher',
    },
    {
      name: 'owner',
      who: 'an owner of the tenant',
      token: await token('acme~labs', 'owner'),
      level: 'owner',
    },
    { name: 'other', who: 'an owner of another tenant', token: await token('other', 'owner') },
    {
      name: 'parent',
      who: 'an owner of the tenant above, not inherited',
      token: await token('acme', 'owner'),
      parentLevel: 'owner',
    },
    {
      name: 'parent, inherited',
      who: 'an owner of the tenant above, inherited',
      token: await token('acme', 'owner', true),
      level: 'owner',
      parentLevel: 'owner',
    },
    {
      name: 'parent reader, inherited',
      who: 'a reader of the tenant above, inherited',
      token: await token('acme', 'reader', true),
      level: 'reader',
      parentLevel: 'reader',
    },
    {
      name: 'operator',
      who: 'an operator without grants',
      token: (await operator.with([], true)).token,
      operator: true,
    },
    {
      name: 'OIDC, fits',
      who: 'a CI workload whose claims fit a rule for publishers',
      token: await issuer.token('release'),
      level: 'publisher',
    },
    {
      name: 'OIDC, fits not',
      who: 'a CI workload of the same issuer with other claims',
      token: await issuer.token('fork'),
    },
    {
      name: 'OIDC operator',
      who: 'a person whom the configuration makes an operator',
      token: await issuer.token('admin'),
      operator: true,
    },
    {
      name: 'registry pull',
      who: 'a registry token for `repository:acme/labs/tool:pull`',
      token: await scope('repository:acme/labs/tool:pull'),
      level: 'reader',
    },
    {
      name: 'registry push',
      who: 'a registry token for `repository:acme/labs/tool:pull,push`',
      token: await scope('repository:acme/labs/tool:pull,push'),
      level: 'publisher',
    },
    {
      name: 'registry other',
      who: 'a registry token for `repository:acme/tool:pull,push`, which is in the tenant above',
      token: await scope('repository:acme/tool:pull,push', 'registry:catalog:*', 'repository:labs/tool:pull'),
      parentLevel: 'publisher',
    },
  ];
}
