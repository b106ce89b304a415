/** API tokens: `mdt_<id>_<secret>`. The database has the SHA-256 of the secret only. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { CreatedToken } from '@mandate/api';
import { LRUCache } from 'lru-cache';
import { recordToken } from './access-audit.ts';
import { recordEvents } from './audit.ts';
import { tokenOf, type Caller, type HeldGrant } from './caller.ts';
import { ServerError } from './error.ts';
import { describe, theService } from './principal.ts';
import { deploymentId, tenantTransaction, type Database } from './sql/connection.ts';
import { anyOperator, findToken, insertToken, upsertOperator, type TokenRow } from './sql/token.ts';

const form = /^mdt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;

/** Whether the text has the form of a token. */
export function isToken(text: string): boolean {
  return form.test(text);
}

export interface TokenWish {
  readonly label: string;
  readonly operator: boolean;
  /** Undefined: the service itself. */
  readonly createdBy: Caller | undefined;
  readonly expiresMs: number | undefined;
  readonly grants: readonly (HeldGrant & { tenantId: number })[];
}

function hashOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}

/** The same work for a token that there is and one that there is not. */
const noHash = hashOf('');

/** Stores a new token; the answer holds its secret, this once. */
export async function createToken(database: Database, wish: TokenWish, now: number): Promise<CreatedToken> {
  const id = randomBytes(8).toString('hex');
  const secret = randomBytes(32).toString('base64url');
  const { createdBy } = wish;
  const token = { ...wish, id, hash: hashOf(secret), createdBy: createdBy?.tokenId };
  const who = createdBy === undefined ? theService : describe(createdBy);
  await insertToken(database, token, (session) => recordToken(session, 'token-create', who, token, now));
  const caller = callerOf({ ...wish, id, expiresMs: wish.expiresMs ?? null });
  return { ...tokenOf(caller), token: `mdt_${id}_${secret}` };
}

/** Undefined where there is an operator already. */
export async function createFirstOperator(
  database: Database,
  now: number,
): Promise<CreatedToken | undefined> {
  if (await anyOperator(database)) return undefined;
  const label = 'first operator';
  const wish = { label, operator: true, createdBy: undefined, expiresMs: undefined, grants: [] };
  return createToken(database, wish, now);
}

/** Makes sure that a token from the configuration is an operator. */
export async function ensureOperator(database: Database, token: string, now: number): Promise<void> {
  const [, id, secret] = form.exec(token) ?? [];
  if (id === undefined || secret === undefined)
    throw new ServerError('CONFIGURATION', 'an operator token is mdt_...');
  const label = 'configured operator';
  await tenantTransaction(database, deploymentId, async (client) => {
    if (!(await upsertOperator(client, id, hashOf(secret), label))) return;
    const event = { action: 'operator-configure', who: theService, token: { id, label, operator: true } };
    await recordEvents(client, [event], now);
  });
}

/** Who holds a stored token. */
export function callerOf({ id, label, operator, expiresMs, grants }: Omit<TokenRow, 'hash'>): Caller {
  return {
    tokenId: id,
    kind: 'token',
    label,
    operator,
    expiresMs: expiresMs ?? undefined,
    grants,
    grantee: { kind: 'token', id },
  };
}

type StoredGrant = TokenRow['grants'][number];

/** A look-up on its way, with what the token was given meanwhile: the database may have answered before. */
interface LookUp {
  readonly row: Promise<TokenRow | undefined>;
  readonly gained: StoredGrant[];
}

function withGrants(row: TokenRow, gained: readonly StoredGrant[]): TokenRow {
  const held = new Set(row.grants.map(({ tenantId }) => tenantId));
  const more = gained.filter(({ tenantId }) => !held.has(tenantId));
  return more.length === 0 ? row : { ...row, grants: [...row.grants, ...more] };
}

/** Looks tokens up, remembering them for a moment: a deleted one is refused everywhere after that. */
export class TokenReader {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #known: LRUCache<string, TokenRow>;
  readonly #underWay = new Map<string, LookUp>();

  constructor(database: Database, now: () => number, rememberMs = 2_000) {
    this.#database = database;
    this.#now = now;
    this.#known = new LRUCache({ max: 10_000, ttl: rememberMs });
  }

  /** Undefined for every token that is not good, after the same work. */
  async find(token: string): Promise<Caller | undefined> {
    const [, id, secret] = form.exec(token) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const row = await this.#row(id);
    const right = timingSafeEqual(row?.hash ?? noHash, hashOf(secret));
    if (row === undefined || !right) return undefined;
    return row.expiresMs !== null && row.expiresMs <= this.#now() ? undefined : callerOf(row);
  }

  /** Forgets what is remembered of a token, after a change to it; also what is being read of it from before. */
  forget(id: string): void {
    this.#known.delete(id);
    this.#underWay.delete(id);
  }

  /** A token was given one more grant. It may have thousands, which need not be read again for that. */
  gain(id: string, grant: StoredGrant): void {
    this.#underWay.get(id)?.gained.push(grant);
    const known = this.#known.get(id);
    // For how long it is remembered counts from when it was read.
    if (known !== undefined) this.#known.set(id, withGrants(known, [grant]), { noUpdateTTL: true });
  }

  async #row(id: string): Promise<TokenRow | undefined> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const underWay = this.#underWay.get(id) ?? this.#lookUp(id);
    const row = await underWay.row;
    return row && withGrants(row, underWay.gained);
  }

  #lookUp(id: string): LookUp {
    const gained: StoredGrant[] = [];
    const read = async (): Promise<TokenRow | undefined> => {
      try {
        const row = await findToken(this.#database, id);
        if (row !== undefined && this.#underWay.get(id) === lookUp) {
          this.#known.set(id, withGrants(row, gained));
        }
        return row;
      } finally {
        if (this.#underWay.get(id) === lookUp) this.#underWay.delete(id);
      }
    };
    const lookUp: LookUp = { row: read(), gained };
    this.#underWay.set(id, lookUp);
    return lookUp;
  }
}
