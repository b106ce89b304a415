/** The second wall between tenants: what the database itself keeps from the service's role. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { migrateSchema, type ServerConfig } from '@mandate/server';
import { generateSealingKey, parseSealingKeys } from '@mandate/signing';
import { Client as DatabaseClient } from 'pg';
import { needs } from '../support/needs.ts';
import { withDatabase, type Query } from './database.ts';
import { publication } from './owner.ts';
import { asAdministrator, backends, startService } from './service.ts';
import { holderColumn, insertRow } from './tenant-row.ts';

/** Tables without row security, each with the reason. */
const open: Readonly<Record<string, string>> = {
  api_token: 'who asks is found before it is known what for; whose tenants a token is for is in api_grant',
  audit_key: 'of the deployment',
  database_identity: 'of the deployment',
  feed: 'of the deployment: the number of the last event of all',
  restore: 'of the deployment',
  schema_version: 'of the schema',
};

const forbidden = { code: '42501' };
const [a, b] = [901, 902];

function compare(one: string, other: string): number {
  return one < other ? -1 : 1;
}

async function tablesOf(query: Query): Promise<{ name: string; isSecured: boolean; isForced: boolean }[]> {
  const rows = await query(
    `SELECT relname AS name, relrowsecurity AS "isSecured", relforcerowsecurity AS "isForced" FROM pg_class
     WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname COLLATE "C"`,
  );
  return rows as unknown as { name: string; isSecured: boolean; isForced: boolean }[];
}

/** What `work` does as the service's role is taken back. */
async function asService(
  query: Query,
  tenantId: number | undefined,
  work: () => Promise<void>,
): Promise<void> {
  await query('BEGIN');
  try {
    await query('SET LOCAL ROLE mandate_service');
    if (tenantId !== undefined) await query(`SELECT set_config('mandate.tenant', $1, true)`, [`${tenantId}`]);
    await work();
  } finally {
    await query('ROLLBACK');
  }
}

for (const backend of backends)
  describe(`row security, ${backend.name}`, () => {
    let config: ServerConfig;
    let drop: () => Promise<void>;
    let inside: <T>(work: (query: Query) => Promise<T>) => Promise<T>;
    let secured: string[];

    before(async function () {
      backend.prepare(this);
      const database = await backend.database();
      drop = database.drop;
      const service = await startService(database.config);
      await service.server.close();
      config = service.config;
      inside = (work) => withDatabase(service.config, work);
      secured = await inside(async (query) => {
        const tables = await tablesOf(query);
        return tables.filter(({ isSecured }) => isSecured).map(({ name }) => name);
      });
    });

    after(() => drop?.());

    it('is on for every table but those named here, by one rule, and never forced on the owner', () =>
      inside(async (query) => {
        const tables = await tablesOf(query);
        assert.deepEqual(
          tables.filter(({ isSecured }) => !isSecured).map(({ name }) => name),
          Object.keys(open),
        );
        assert.deepEqual(
          tables.filter(({ isForced }) => isForced),
          [],
        );
        const policies = await query(
          `SELECT tablename, roles::text, cmd, qual, with_check FROM pg_policies
           WHERE permissive = 'PERMISSIVE' ORDER BY tablename COLLATE "C"`,
        );
        const rule = (table: string): string =>
          table === 'tenant'
            ? '(id = current_tenant())'
            : table === 'webhook'
              ? '(COALESCE(tenant_id, (0)::bigint) = current_tenant())'
              : '(tenant_id = current_tenant())';
        const expected = secured.map((tablename) => ({
          tablename,
          roles: '{public}',
          cmd: 'ALL',
          qual: rule(tablename),
          with_check: null,
        }));
        assert.deepEqual(policies, expected);
      }));

    it('leaves the role what the service does, and nothing of its own', () =>
      inside(async (query) => {
        const [role] = await query(
          `SELECT rolsuper, rolbypassrls, rolcanlogin, rolcreaterole, rolcreatedb,
             (SELECT count(*)::int FROM pg_class WHERE relowner = r.oid) AS owned
           FROM pg_roles r WHERE rolname = 'mandate_service'`,
        );
        assert.deepEqual(role, {
          rolsuper: false,
          rolbypassrls: false,
          rolcanlogin: false,
          rolcreaterole: false,
          rolcreatedb: false,
          owned: 0,
        });
        const mayChange = async (right: string): Promise<unknown[]> => {
          const rows = await query(
            `SELECT table_name FROM information_schema.role_table_grants
             WHERE grantee = 'mandate_service' AND privilege_type = $1 ORDER BY table_name COLLATE "C"`,
            [right],
          );
          return rows.map((row) => row['table_name']);
        };
        const removable = [
          'api_grant',
          'api_token',
          'oidc_grant',
          'restore_file',
          'restore_target',
          'restoring',
        ];
        assert.deepEqual(await mayChange('DELETE'), [...removable, 'webhook']);
        assert.deepEqual(await mayChange('UPDATE'), [
          'api_grant',
          'api_token',
          'audit_chain',
          'audit_key',
          'head',
          'lease',
          'oidc_grant',
          'proposal',
          'pruned',
          'restore',
          'role_expiry_warning',
          'webhook',
        ]);
        for (const right of ['TRUNCATE', 'TRIGGER', 'REFERENCES'])
          assert.deepEqual(await mayChange(right), []);
      }));

    it('is passed by nothing but the functions that docs/operations.md lists', () =>
      inside(async (query) => {
        const functions = await query(
          `SELECT proname AS name, proconfig::text AS settings, has_function_privilege('public', oid, 'EXECUTE') AS open,
             has_function_privilege('mandate_service', oid, 'EXECUTE') AS ours
           FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY proname COLLATE "C"`,
        );
        const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
        const listed = new Set([...page.matchAll(/`(across_\w+)`/g)].map(([, name = '']) => name));
        assert.deepEqual(
          functions,
          [...listed].sort(compare).map((name) => ({
            name,
            settings: '{"search_path=public, pg_temp"}',
            open: false,
            ours: true,
          })),
        );
      }));

    it('holds for the service, which acts as the role', async () => {
      await inside((query) => query('REVOKE DELETE, INSERT ON api_token FROM mandate_service'));
      await assert.rejects(startService(config), forbidden);
      await inside((query) => query('GRANT DELETE, INSERT ON api_token TO mandate_service'));
    });

    describe('with every other right that there is', () => {
      before(() =>
        inside(async (query) => {
          // So that the rows are kept apart by their policies alone.
          await query('GRANT ALL ON ALL TABLES IN SCHEMA public TO mandate_service');
          await query('SET session_replication_role = replica');
          for (const table of secured)
            for (const tenantId of [a, b]) await query(await insertRow(query, table, tenantId));
          await query('RESET session_replication_role');
        }),
      );

      it('shows the rows of the tenant that is named, and takes no others', () =>
        inside(async (query) => {
          for (const table of secured) {
            const holder = holderColumn(table);
            const another = await insertRow(query, table, b);
            await asService(query, a, async () => {
              const rows = await query(`SELECT ${holder} AS holder FROM ${table}`);
              assert.deepEqual(
                rows.map((row) => Number(row['holder'])),
                [a],
                table,
              );
            });
            await asService(query, a, async () => {
              assert.deepEqual(
                await query(`DELETE FROM ${table} WHERE ${holder} = ${b} RETURNING 1`),
                [],
                table,
              );
            });
            await asService(query, a, () => assert.rejects(query(another), forbidden, table));
          }
        }));

      it('moves no row to another tenant', () =>
        inside(async (query) => {
          // The id of a tenant is never written at all.
          for (const table of secured.filter((one) => one !== 'tenant')) {
            await asService(query, a, async () => {
              assert.deepEqual(
                await query(`UPDATE ${table} SET tenant_id = ${a} WHERE tenant_id = ${b} RETURNING 1`),
                [],
                table,
              );
              await assert.rejects(query(`UPDATE ${table} SET tenant_id = ${b}`), forbidden, table);
            });
          }
        }));

      it('shows nothing and takes nothing where no tenant is named, also after one was', () =>
        inside(async (query) => {
          for (const table of secured) {
            const own = await insertRow(query, table, a);
            await asService(query, undefined, async () => {
              assert.deepEqual(await query(`SELECT 1 FROM ${table}`), [], table);
              await assert.rejects(query(own), forbidden, table);
            });
          }
        }));

      it('leaves the owner, who runs the version before, everything', () =>
        inside(async (query) => {
          for (const table of secured) {
            const rows = await query(`SELECT DISTINCT ${holderColumn(table)} AS holder FROM ${table}`);
            const found = rows.map((row) => Number(row['holder']));
            assert.ok(found.includes(a) && found.includes(b), table);
          }
          const [tenant] = await query(
            `INSERT INTO tenant (slug, path) VALUES ('from-before', 'from-before') RETURNING id`,
          );
          const events = await query('SELECT type FROM feed_outbox WHERE tenant_id = $1', [tenant?.['id']]);
          assert.deepEqual(events, [{ type: 'tenant.created' }]);
        }));
    });
  });

describe('row security, a login of the service alone', () => {
  const name = `mandate_test_${randomBytes(6).toString('hex')}`;
  const [owner, login, stranger] = [`${name}_owner`, `${name}_login`, `${name}_stranger`];
  const password = randomBytes(16).toString('hex');

  function urlOf(user: string): string {
    const url = new URL(process.env['MANDATE_TEST_DATABASE_URL'] ?? '');
    url.pathname = `/${name}`;
    url.username = user;
    url.password = password;
    return url.href;
  }

  function settings(user: string) {
    return { databaseUrl: urlOf(user), sealingKeys: parseSealingKeys(generateSealingKey()) };
  }

  before(async function () {
    needs(this, 'postgres');
    for (const [user, rights] of [
      [owner, 'CREATEROLE'],
      [login, ''],
      [stranger, ''],
    ] as const)
      await asAdministrator(`CREATE ROLE ${user} LOGIN PASSWORD '${password}' ${rights}`);
    await asAdministrator(`CREATE DATABASE ${name} OWNER ${owner}`);
  });

  after(async function () {
    if (process.env['MANDATE_TEST_DATABASE_URL'] === undefined) return;
    await asAdministrator(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    for (const user of [stranger, login, owner]) await asAdministrator(`DROP ROLE IF EXISTS ${user}`);
  });

  it('does not start before the owner has made the tables, nor without the right to act as the role', async () => {
    await assert.rejects(startService(settings(login)), { code: 'DATABASE_RIGHTS' });
    assert.ok((await migrateSchema({ DATABASE_URL: urlOf(owner) })) >= 10);
    await assert.rejects(startService(settings(stranger)), { code: 'DATABASE_RIGHTS' });
  });

  it('serves and publishes, and cannot read across, migrate, or take the wall down', async () => {
    await migrateSchema({ DATABASE_URL: urlOf(owner) });
    await asAdministrator(`GRANT mandate_service TO ${login}`);
    const { server, operator } = await startService(settings(login));
    try {
      const { owner: signer, slug } = await operator.tenant('acme', ['reserved', 'org']);
      const { status } = await operator.publish(slug, publication({ org: await signer.advance('org') }));
      assert.equal(status, 201);
    } finally {
      await server.close();
    }
    const client = new DatabaseClient({ connectionString: urlOf(login) });
    await client.connect();
    try {
      const count = async (table: string): Promise<unknown> =>
        (await client.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`)).rows[0]?.count;
      for (const acting of ['SET ROLE mandate_service', 'RESET ROLE']) {
        await client.query(acting);
        for (const table of ['tenant', 'head', 'metadata_file', 'audit', 'online_key'])
          assert.equal(await count(table), 0, `${acting}: ${table}`);
        for (const text of [
          'ALTER TABLE head DISABLE ROW LEVEL SECURITY',
          'ALTER TABLE head NO FORCE ROW LEVEL SECURITY',
          'DROP POLICY one_tenant ON head',
          'CREATE POLICY mine ON head USING (true)',
          'ALTER TABLE head ADD COLUMN mine text',
          `UPDATE schema_version SET version = 1`,
          `DELETE FROM audit`,
          `UPDATE audit SET record = ''`,
          `DELETE FROM metadata_file`,
          `DELETE FROM feed_event`,
          `SET ROLE ${owner}`,
          `ALTER ROLE ${login} BYPASSRLS`,
          `CREATE OR REPLACE FUNCTION current_tenant() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'`,
        ])
          await assert.rejects(client.query(text), forbidden, `${acting}: ${text}`);
        // Whoever is subject to a policy gets a refusal from this, not the rows.
        await client.query('SET row_security = off');
        await assert.rejects(client.query('SELECT 1 FROM head'), forbidden);
        await client.query('RESET row_security');
      }
      await client.query(`BEGIN; SELECT set_config('mandate.tenant', '1', true)`);
      assert.equal(await count('head'), 1);
      await client.query('SAVEPOINT before');
      await assert.rejects(client.query(`UPDATE metadata_file SET bytes = '\\x00'`), forbidden);
      await client.query('ROLLBACK TO before');
      const dropped = await client.query('UPDATE metadata_file SET bytes = NULL');
      assert.ok((dropped.rowCount ?? 0) > 0, 'as pruning does');
      await client.query('COMMIT');
      assert.equal(await count('head'), 0, 'the name ends with the transaction');
    } finally {
      await client.end();
    }
  });
});
