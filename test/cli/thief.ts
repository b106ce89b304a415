/** Somebody who has the online keys of a tenant, and what they can make of them: a fast-forward attack on a mirror. */
import assert from 'node:assert/strict';
import { sign, type KeyObject } from 'node:crypto';
import {
  encodeEnvelope,
  formatDate,
  hexOf,
  keyIdOf,
  parseSnapshot,
  parseTimestamp,
  publicKeyFromKeyObject,
  sha256Of,
  signingBytes,
  type JsonObject,
} from '@mandate/metadata';
import { unsealKey, type SealingKeys } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import type { Liar } from './liar.ts';

type Purpose = 'snapshot' | 'timestamp';

export class Thief {
  readonly #keys: ReadonlyMap<Purpose, KeyObject>;

  private constructor(keys: ReadonlyMap<Purpose, KeyObject>) {
    this.#keys = keys;
  }

  /** From the database and the sealing key, which is all that there is to steal. */
  static async steal(databaseUrl: string, sealing: SealingKeys, slug: string): Promise<Thief> {
    const database = new DatabaseClient({ connectionString: databaseUrl });
    await database.connect();
    try {
      const { rows } = await database.query<{ purpose: Purpose; sealed: Buffer }>(
        `SELECT purpose, sealed FROM online_key k JOIN tenant ON tenant.id = tenant_id
         WHERE slug = $1 ORDER BY k.created_at`,
        [slug],
      );
      assert.equal(rows.length, 2);
      return new Thief(
        new Map(
          rows.map(({ purpose, sealed }) => [
            purpose,
            unsealKey(sealed, sealing, { tenant: slug, role: purpose }),
          ]),
        ),
      );
    } finally {
      await database.end();
    }
  }

  #signed(purpose: Purpose, content: JsonObject): Buffer {
    const key = this.#keys.get(purpose) as KeyObject;
    const keyId = keyIdOf(publicKeyFromKeyObject(key));
    return Buffer.from(encodeEnvelope(content, [{ keyId, sig: sign(null, signingBytes(content), key) }]));
  }

  /**
   * A snapshot and a timestamp over the role files that are served, with the highest versions that there are, good for
   * ten years and issued as far ahead as clients take.
   *
   * @param poisoned roles that the snapshot lists with the highest version too
   */
  async fastForward(
    real: string,
    slug: string,
    poisoned: readonly string[] = [],
  ): Promise<Map<string, Buffer>> {
    const served = async (name: string): Promise<Buffer> =>
      Buffer.from(await (await fetch(`${real}/tuf/${slug}/metadata/${name}`)).arrayBuffer());
    const timestamp = parseTimestamp(await served('timestamp.json'));
    const snapshot = parseSnapshot(await served(`${timestamp.snapshot.version}.snapshot.json`));
    const version = Number.MAX_SAFE_INTEGER;
    const expires = formatDate(Date.now() + 3_650 * 86_400_000);
    const meta = { ...(snapshot.envelope.signed['meta'] as Record<string, JsonObject>) };
    for (const role of poisoned) meta[`${role}.json`] = { ...meta[`${role}.json`], version };
    const fast = this.#signed('snapshot', { ...snapshot.envelope.signed, expires, meta, version });
    const entry = { hashes: { sha256: hexOf(sha256Of(fast)) }, length: fast.length, version };
    const head = this.#signed('timestamp', {
      ...timestamp.envelope.signed,
      expires,
      meta: { 'snapshot.json': entry },
      version,
      'x-mandate-issued': formatDate(Date.now() + 4 * 60_000),
    });
    return new Map([
      ['timestamp.json', head],
      [`${version}.snapshot.json`, fast],
    ]);
  }
}

/** The mirror serves these files in the place of its own, and the rest as it is. */
export function serve(mirror: Liar, files: ReadonlyMap<string, Buffer>): void {
  mirror.lie = (path) => {
    const body = files.get(path.slice(path.lastIndexOf('/') + 1));
    return Promise.resolve(
      path.startsWith('/tuf/') && body !== undefined ? { status: 200, body } : undefined,
    );
  };
}

/** The mirror is honest. */
export function behave(mirror: Liar): void {
  mirror.lie = () => Promise.resolve(undefined);
}
