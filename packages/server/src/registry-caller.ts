/**
 * Holders of a registry's bearer tokens: `access: [{type: "repository", name, actions}]`, as the token service of a
 * docker registry signs them (Distribution token authentication). `pull` reads and `push` submits, in one tenant for
 * each name: the longest path that begins it and that a tenant has. A child owns its whole prefix, so a token for
 * `acme/labs/tool` is one for `acme/labs` and says nothing about `acme`.
 */
import { tenantSlug, type TenantPath } from '@mandate/metadata';
import { parseRepository } from '@mandate/metadata';
import { z } from 'zod';
import type { Caller, HeldGrant } from './caller.ts';
import type { IssuedToken } from './issued-token.ts';
import type { Database } from './sql/connection.ts';
import { existingSlugs } from './sql/grant.ts';

/** A token with more is refused, as registries do. */
const maxAccess = 64;

const accessSchema = z
  .array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) }))
  .max(maxAccess);

type Level = 'reader' | 'publisher';

function levelOf(actions: readonly string[]): Level | undefined {
  if (actions.includes('push')) return 'publisher';
  return actions.includes('pull') ? 'reader' : undefined;
}

/** Every tenant that a repository can belong to, longest first; none for a name that is not one. */
function candidates(name: string): string[] {
  try {
    parseRepository(name);
  } catch {
    return [];
  }
  const segments = name.split('/');
  return segments.map((_, i) => tenantSlug(segments.slice(0, segments.length - i).join('/') as TenantPath));
}

/** Undefined where `access` is not as it has to be. */
export async function registryCaller(
  database: Database,
  { issuer: { issuer }, payload, expiresMs }: IssuedToken,
): Promise<Caller | undefined> {
  const parsed = accessSchema.safeParse(payload['access'] ?? []);
  const subject = payload.sub ?? '';
  if (!parsed.success || !/^[^\p{Cc}]{0,255}$/u.test(subject)) return undefined;
  const wanted = parsed.data.flatMap(({ type, name, actions }) => {
    const level = type === 'repository' ? levelOf(actions) : undefined;
    return level === undefined ? [] : [{ level, slugs: candidates(name) }];
  });
  const existing = new Set(
    await existingSlugs(
      database,
      wanted.flatMap(({ slugs }) => slugs),
    ),
  );
  const grants = wanted.flatMap(({ level, slugs }): HeldGrant[] => {
    const tenant = slugs.find((slug) => existing.has(slug));
    return tenant === undefined ? [] : [{ tenant, level, inherit: false }];
  });
  return {
    tokenId: `registry:${issuer}#${subject}`,
    kind: 'registry',
    label: subject,
    operator: false,
    expiresMs,
    grants,
    grantee: undefined,
  };
}
