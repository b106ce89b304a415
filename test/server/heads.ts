/** Every head that a tenant ever had, noted by the database itself: timestamps are not kept otherwise. */
import assert from 'node:assert/strict';
import { parseRoot, parseTimestamp, signingStatus, type KeyId } from '@mandate/metadata';
import { Client as DatabaseClient } from 'pg';

interface Row {
  readonly serial: string;
  readonly root: Buffer;
  readonly timestamp: Buffer;
  readonly opening: string;
}

export class Heads {
  readonly database: DatabaseClient;

  private constructor(database: DatabaseClient) {
    this.database = database;
  }

  /** From now on; the schema is there already. The service's role has no right to the table of this test. */
  static async watch(databaseUrl: string): Promise<Heads> {
    const database = new DatabaseClient({ connectionString: databaseUrl });
    await database.connect();
    await database.query(`
      CREATE TABLE test_head (LIKE head);
      CREATE FUNCTION test_note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
        $$ BEGIN INSERT INTO test_head SELECT NEW.*; RETURN NEW; END $$;
      CREATE TRIGGER test_note AFTER INSERT OR UPDATE ON head FOR EACH ROW EXECUTE FUNCTION test_note();`);
    return new Heads(database);
  }

  async tenantId(slug: string): Promise<string> {
    const { rows } = await this.database.query<{ id: string }>('SELECT id FROM tenant WHERE slug = $1', [
      slug,
    ]);
    assert.ok(rows[0] !== undefined, slug);
    return rows[0].id;
  }

  /**
   * Each head's timestamp and snapshot were signed by the keys of the root that went live with it, or before it, and by
   * no other key; and each has a timestamp version of its own.
   *
   * @returns how many heads there were
   */
  async requireSignedByTheirRoot(slug: string): Promise<number> {
    const { rows } = await this.database.query<Row>(
      `SELECT h.serial, r.bytes AS root, h.timestamp_bytes AS timestamp, s.opening
       FROM test_head h
       JOIN metadata_file r ON r.tenant_id = h.tenant_id AND r.role = 'root' AND r.version = h.root_version
       JOIN snapshot_file s ON s.tenant_id = h.tenant_id AND s.version = h.snapshot_version
       WHERE h.tenant_id = $1 ORDER BY h.serial`,
      [await this.tenantId(slug)],
    );
    let last = 0;
    for (const { serial, root, timestamp, opening } of rows) {
      const { roles } = parseRoot(root);
      const file = parseTimestamp(timestamp);
      assert.ok(signingStatus(file.envelope, roles.timestamp).met, `timestamp of head ${serial}`);
      for (const { keyId } of file.envelope.signatures)
        assert.ok(roles.timestamp.keys.has(keyId), `timestamp of head ${serial}`);
      const signers = [...opening.matchAll(/"keyid":"([0-9a-f]+)"/g)].map((found) => found[1] as KeyId);
      assert.equal(signers.length, 1);
      for (const keyId of signers) assert.ok(roles.snapshot.keys.has(keyId), `snapshot of head ${serial}`);
      assert.ok(file.version > last, `head ${serial}`);
      last = file.version;
    }
    return rows.length;
  }

  /** Nobody leads the tenant for so long: what is submitted meanwhile waits. */
  async stall(slug: string, ms: number): Promise<void> {
    await this.database.query(
      `UPDATE lease SET token = token + 1, holder = gen_random_uuid(), wanted_by = NULL,
         expires_at = clock_timestamp() + $2 * interval '1 millisecond' WHERE tenant_id = $1`,
      [await this.tenantId(slug), ms],
    );
  }

  async close(): Promise<void> {
    await this.database.end();
  }
}
