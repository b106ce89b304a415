/** Version n and n+1 side by side: what migrations may do, and that processes stand what the other one does. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import type { ServerConfig } from '@mandate/server';
import { generateSealingKey, parseSealingKeys } from '@mandate/signing';
import { withDatabase } from '../server/database.ts';
import { publication } from '../server/owner.ts';
import { backends, Client, servedFile, startService, type Service } from '../server/service.ts';
import { statementsFile } from './record-statements.ts';

/** Everything up to here came with the first release, which has no version before it. */
const firstRelease = 9;

/** What the version before cannot live with, or what holds its writes up for long. */
const forbidden: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['takes away', /\bDROP\s+(?:TABLE|COLUMN|VIEW|FUNCTION|SCHEMA|SEQUENCE|TYPE|INDEX)\b/i],
  ['renames', /\bRENAME\b/i],
  ['changes a type', /\bALTER\s+COLUMN\s+\w+\s+(?:SET\s+DATA\s+)?TYPE\b/i],
  ['demands a value', /\bSET\s+NOT\s+NULL\b/i],
  ['demands a value', /\bADD\s+COLUMN\s+(?:(?!DEFAULT|,|;)[\s\S])*\bNOT\s+NULL\b(?!\s+DEFAULT)/i],
  ['empties', /\bTRUNCATE\b/i],
  ['cannot run in a transaction', /\bCONCURRENTLY\b|\bVACUUM\b/i],
];

function faultsOf(sql: string): string[] {
  const statements = sql.replaceAll(/--.*$/gm, '');
  return forbidden.filter(([, pattern]) => pattern.test(statements)).map(([what]) => what);
}

describe('upgrade: migrations', () => {
  const folder = new URL('../../migrations/', import.meta.url);
  const names = readdirSync(folder).sort();

  it('since the first release only add, unless their name says what a process must know', () => {
    for (const name of names.filter((one) => Number.parseInt(one, 10) > firstRelease)) {
      const needed = /\.needs-(\d+)-/.exec(name)?.[1];
      if (needed === undefined)
        assert.deepEqual(faultsOf(readFileSync(new URL(name, folder), 'utf8')), [], name);
      else assert.ok(Number(needed) < Number.parseInt(name, 10), name);
    }
  });

  it('are known by what they do', () => {
    const taken = [
      'CREATE TABLE a (b bigint NOT NULL); CREATE INDEX a_b ON a (b);',
      'ALTER TABLE a ADD COLUMN c text;',
      "ALTER TABLE a ADD COLUMN c text NOT NULL DEFAULT '', ADD COLUMN d text;",
      '-- DROP TABLE a\nSELECT 1;',
    ];
    for (const sql of taken) assert.deepEqual(faultsOf(sql), [], sql);
    const refused = [
      'DROP TABLE a;',
      'ALTER TABLE a DROP COLUMN b;',
      'alter table a rename column b to c;',
      'ALTER TABLE a ALTER COLUMN b TYPE bigint;',
      'ALTER TABLE a ALTER b SET NOT NULL;',
      'ALTER TABLE a ADD COLUMN c text NOT NULL;',
      'ALTER TABLE a ADD COLUMN c text, ADD COLUMN d text COLLATE "C" NOT NULL;',
      'CREATE INDEX CONCURRENTLY a_b ON a (b);',
    ];
    for (const sql of refused) assert.equal(faultsOf(sql).length, 1, sql);
  });

  it('have numbers of their own', () => {
    const numbers = names.map((name) => Number.parseInt(name, 10));
    assert.deepEqual(new Set(numbers).size, numbers.length);
  });
});

for (const backend of backends.filter(({ shared }) => shared))
  describe(`upgrade: processes side by side, ${backend.name}`, () => {
    let config: Partial<ServerConfig>;
    let drop: (() => Promise<void>) | undefined;
    const running: Service[] = [];

    async function start(settings: Partial<ServerConfig> = {}): Promise<Service> {
      const service = await startService({ ...config, ...settings });
      running.push(service);
      return service;
    }

    beforeEach(async function () {
      backend.prepare(this);
      const database = await backend.database();
      ({ config, drop } = database);
    });

    afterEach(async () => {
      for (const service of running.splice(0)) await service.server.close();
      await drop?.();
    });

    it('one of this version starts, and goes on, on the schema of a later one', async () => {
      const first = await start();
      const { owner, slug } = await first.operator.tenant('acme', ['reserved', 'org']);
      await withDatabase(first.config, async (query) => {
        await query(
          `INSERT INTO schema_version (version, name, md5, run_at) VALUES (999, 'later', 'x', now())`,
        );
        await query('CREATE TABLE later (id bigint NOT NULL)');
        await query(`ALTER TABLE tenant ADD COLUMN later text NOT NULL DEFAULT 'x'`);
      });
      const second = await start();
      for (const service of [second, first]) {
        const client = new Client(service.server.url, first.operator.token);
        const { status } = await client.publish(slug, publication({ org: await owner.advance('org') }));
        assert.equal(status, 201);
      }
      assert.deepEqual(
        await servedFile(second.server.url, slug, '3.org.json'),
        await servedFile(first.server.url, slug, '3.org.json'),
      );
      const [row] = await withDatabase(first.config, (query) =>
        query('SELECT max(version) AS version FROM schema_version'),
      );
      assert.equal(Number(row?.['version']), 999, 'it takes nothing back');
    });

    it('one of this version does not start on a schema that says it knows too little', async () => {
      const first = await start();
      const { owner, slug } = await first.operator.tenant('acme', ['reserved', 'org']);
      const later = (version: number, name: string): Promise<unknown> =>
        withDatabase(first.config, (query) =>
          query('INSERT INTO schema_version (version, name, md5, run_at) VALUES ($1, $2, $3, now())', [
            version,
            name,
            'x',
          ]),
        );
      // One that asks for no more than this version has.
      await later(997, 'needs-001-drop-something');
      await start();
      await later(998, 'needs-900-drop-something');
      await later(999, 'only-adds');
      await assert.rejects(start(), { code: 'SCHEMA_TOO_NEW' });
      // Whoever is there already goes on, and the database is as it was.
      const { status } = await first.operator.publish(slug, publication({ org: await owner.advance('org') }));
      assert.equal(status, 201);
    });

    it('keys that a process from before migration 3 makes are counted', async () => {
      const first = await start();
      await first.operator.tenant('acme', ['reserved', 'org']);
      await withDatabase(first.config, async (query) => {
        const [tenant] = await query(`SELECT id FROM tenant WHERE slug = 'acme'`);
        const keys = Array.from({ length: 4 }, (_, i) => i);
        await Promise.all(
          keys.map((i) =>
            withDatabase(first.config, (another) =>
              another(
                'INSERT INTO online_key (tenant_id, purpose, key_id, wire, sealed) VALUES ($1, $2, $3, $4, $5)',
                [tenant?.['id'], 'snapshot', `key${i}`, '{}', Buffer.from('x')],
              ),
            ),
          ),
        );
        const found = await query(
          `SELECT number FROM online_key WHERE purpose = 'snapshot' AND tenant_id = $1 ORDER BY number`,
          [tenant?.['id']],
        );
        assert.deepEqual(
          found.map(({ number }) => number),
          [1, ...keys.map((i) => i + 2)],
        );
      });
    });

    it('the statements of the last release are good on the newest schema', async () => {
      const statements = JSON.parse(readFileSync(statementsFile, 'utf8')) as string[];
      assert.ok(statements.length > 100);
      const { config: made } = await start();
      await withDatabase(made, async (query) => {
        const refused: string[] = [];
        for (const [i, text] of statements.entries()) {
          await query(`PREPARE released_${i} AS ${text}`).catch((error: Error) => {
            refused.push(`${error.message}: ${text}`);
          });
        }
        assert.deepEqual(refused, []);
        // What they insert is all that a row needs.
        const needed = await query(`
          SELECT c.relname AS "table", array_agg(a.attname::text) AS columns
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
          WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT a.attisdropped
          GROUP BY c.relname`);
        const columns = new Map(needed.map((row) => [row['table'] as string, row['columns'] as string[]]));
        const given = statements.flatMap((text) =>
          [...text.matchAll(/\bINSERT\s+INTO\s+(\w+)(?:\s+AS\s+\w+)?\s*\(([^)]+)\)/g)].map((found) => ({
            table: found[1] ?? '',
            names: new Set((found[2] ?? '').split(',').map((name) => name.trim())),
          })),
        );
        assert.ok(given.length > 20);
        for (const { table, names: those } of given)
          assert.deepEqual(
            (columns.get(table) ?? []).filter((name) => !those.has(name)),
            [],
            table,
          );
      });
    });

    it('a sealing key is rotated while every process goes on signing', async () => {
      const [old, next] = [generateSealingKey(), generateSealingKey()];
      const keys = (...texts: string[]): Partial<ServerConfig> => ({
        sealingKeys: parseSealingKeys(texts.join(',')),
      });
      const before = await start(keys(old));
      const { owner, slug } = await before.operator.tenant('acme', ['reserved', 'org']);
      const publish = async (service: Service): Promise<void> => {
        const client = new Client(service.server.url, before.operator.token);
        const { status } = await client.publish(slug, publication({ org: await owner.advance('org') }));
        assert.equal(status, 201);
      };
      // Each step reaches every process before the next one begins.
      const knowing = await start(keys(old, next));
      await publish(knowing);
      const sealing = await start(keys(next, old));
      // One that knows both opens what was sealed anew, also for the first time.
      const late = await start(keys(old, next));
      for (const service of [sealing, late]) await publish(service);
      await start(keys(next, old));
      await publish(await start(keys(next)));
    });
  });
