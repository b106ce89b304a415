/** What a trust store keeps of the children of a tenant, whatever it is stored in. Pure. */
import { isDigest, isObject, member, type JsonObject, type JsonValue } from '@mandate/metadata';
import { ClientError } from './error.ts';
import type { MetChild } from './store.ts';

/**
 * The children with this one among them; the same map where nothing is new.
 *
 * @throws ClientError ROOT_REPLACED/GENESIS, ROLLBACK/ANCHOR_OLDER.
 */
export function withChild(
  met: ReadonlyMap<string, MetChild>,
  segment: string,
  child: MetChild,
): ReadonlyMap<string, MetChild> {
  const before = met.get(segment);
  if (before === undefined) return new Map(met).set(segment, child);
  if (before.genesis !== child.genesis) {
    const message = `${segment} is anchored with genesis ${child.genesis}, met before was ${before.genesis}`;
    throw new ClientError('ROOT_REPLACED', 'GENESIS', message, { role: 'tenants' });
  }
  const floor = before.detached;
  const next = child.detached;
  if (next === undefined) return met;
  if (floor !== undefined) {
    if (next.version < floor.version || (next.version === floor.version && next.digest !== floor.digest)) {
      const message = `the anchor of ${segment} goes back behind version ${floor.version}`;
      throw new ClientError('ROLLBACK', 'ANCHOR_OLDER', message, { role: `anchor~${segment}` });
    }
    if (next.version === floor.version) return met;
  }
  return new Map(met).set(segment, child);
}

export function encodeChildren(met: ReadonlyMap<string, MetChild>): string {
  return JSON.stringify(Object.fromEntries(met));
}

function parseChild(value: JsonValue): MetChild {
  if (!isObject(value)) throw new TypeError('not a file of children');
  const genesis = member(value, 'genesis');
  if (typeof genesis !== 'string' || !isDigest(genesis)) throw new TypeError('not a file of children');
  const detached = member(value, 'detached');
  if (detached === undefined) return { genesis };
  if (!isObject(detached)) throw new TypeError('not a file of children');
  const version = member(detached, 'version');
  const digest = member(detached, 'digest');
  if (typeof version !== 'number' || typeof digest !== 'string' || !isDigest(digest))
    throw new TypeError('not a file of children');
  return { genesis, detached: { version, digest } };
}

/** @throws TypeError for what `encodeChildren` did not write. */
export function parseChildren(object: JsonObject): Map<string, MetChild> {
  return new Map(Object.entries(object).map(([segment, value]) => [segment, parseChild(value)]));
}
