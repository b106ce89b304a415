/** API tokens: `mdt_<id>_<secret>`. The database has the SHA-256 of the secret only. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { CreatedToken, GrantLevel, Token } from '@mandate/api';
import { LRUCache } from 'lru-cache';
import { recordToken } from './access-audit.ts';
import { recordEvents, serviceLogId } from './audit.ts';
import { ServerError } from './error.ts';
import { describe, theService } from './principal.ts';
import { transaction, type Database } from './sql/connection.ts';
import { anyOperator, findToken, insertToken, upsertOperator, type TokenRow } from './sql/token.ts';

const form = /^mdt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})$/;
const rank: Readonly<Record<GrantLevel, number>> = { owner: 3, publisher: 2, reader: 1 };

/** Whether the text has the form of a token. */
export function isToken(text: string): boolean {
  return form.test(text);
}

/** Who makes a request. */
export interface Caller {
  readonly tokenId: string;
  readonly label: string;
  readonly operator: boolean;
  readonly expiresMs: number | undefined;
  readonly grants: ReadonlyMap<number, { tenant: string; level: GrantLevel }>;
}

/** Whether the caller has this level, or one that includes it. Operators read and administer; they do not publish. */
export function hasGrant(caller: Caller, tenantId: number, level: GrantLevel): boolean {
  const held = caller.grants.get(tenantId);
  return held !== undefined && rank[held.level] >= rank[level];
}

export function mayRead(caller: Caller, tenantId: number): boolean {
  return caller.operator || hasGrant(caller, tenantId, 'reader');
}

export interface TokenWish {
  readonly label: string;
  readonly operator: boolean;
  /** Undefined: the service itself. */
  readonly createdBy: Caller | undefined;
  readonly expiresMs: number | undefined;
  readonly grants: readonly { tenantId: number; tenant: string; level: GrantLevel }[];
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
  await insertToken(database, token, (client) => recordToken(client, 'token-create', who, token, now));
  return {
    id,
    label: wish.label,
    operator: wish.operator,
    grants: wish.grants.map(({ tenant, level }) => ({ tenant, level })),
    ...(wish.expiresMs === undefined ? {} : { expires: new Date(wish.expiresMs).toISOString() }),
    token: `mdt_${id}_${secret}`,
  };
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
  await transaction(database, async (client) => {
    if (!(await upsertOperator(client, id, hashOf(secret), label))) return;
    const event = { action: 'operator-configure', who: theService, token: { id, label, operator: true } };
    await recordEvents(client, serviceLogId, [event], now);
  });
}

/** A token as the API shows it, without its secret. */
export function tokenOf(caller: Caller): Token {
  return {
    id: caller.tokenId,
    label: caller.label,
    operator: caller.operator,
    grants: [...caller.grants.values()],
    ...(caller.expiresMs === undefined ? {} : { expires: new Date(caller.expiresMs).toISOString() }),
  };
}

/** Looks tokens up, remembering them for a moment: a deleted one is refused everywhere after that. */
export class TokenReader {
  readonly #database: Database;
  readonly #now: () => number;
  readonly #known: LRUCache<string, TokenRow>;

  constructor(database: Database, now: () => number, rememberMs = 2_000) {
    this.#database = database;
    this.#now = now;
    this.#known = new LRUCache({ max: 10_000, ttl: rememberMs });
  }

  /** @throws ServerError UNAUTHENTICATED, in the same words whatever is wrong. */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const [, id, secret] = form.exec(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '') ?? [];
    if (id === undefined || secret === undefined) throw this.#refusal();
    const row = await this.#find(id);
    const right = timingSafeEqual(row?.hash ?? noHash, hashOf(secret));
    if (row === undefined || !right) throw this.#refusal();
    if (row.expiresMs !== null && row.expiresMs <= this.#now()) throw this.#refusal();
    return {
      tokenId: row.id,
      label: row.label,
      operator: row.operator,
      expiresMs: row.expiresMs ?? undefined,
      grants: new Map(row.grants.map(({ tenantId, tenant, level }) => [tenantId, { tenant, level }])),
    };
  }

  /** Forgets what is remembered of a token, after a change to it. */
  forget(id: string): void {
    this.#known.delete(id);
  }

  async #find(id: string): Promise<TokenRow | undefined> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const row = await findToken(this.#database, id);
    if (row !== undefined) this.#known.set(id, row);
    return row;
  }

  #refusal(): ServerError {
    return new ServerError(
      'UNAUTHENTICATED',
      'this needs a valid API token, sent as "Authorization: Bearer mdt_..."; ask an operator or tenant owner for one',
    );
  }
}
