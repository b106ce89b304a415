/** Many writers at once: no lost update, no version twice, nobody starved. */
import assert from 'node:assert/strict';
import type { Problem, Publication } from '@mandate/api';
import { parseTargets, sha256Of, type JsonObject, type NewTarget } from '@mandate/metadata';
import { Client as DatabaseClient } from 'pg';
import { readTenant, requireAll, requireChain, type AuditRow } from './audit.ts';
import { publication, type Owner } from './owner.ts';
import { Client, describeService, postgres, servedFile, startService, type Answer } from './service.ts';

const writers = Array.from({ length: 32 }, (_, i) => String(i).padStart(2, '0'));

/** One writer publishes its own role over and over. */
async function publishRole(client: Client, owner: Owner, slug: string, role: string, times: number) {
  const accepted: Publication[] = [];
  for (let i = 0; i < times; i += 1) {
    const answer = await client.publish(slug, publication({ [role]: await owner.advance(role) }));
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    accepted.push(answer.body);
  }
  return accepted;
}

/** One of many that add a path to the same role: on a lost race it starts again from the current version. */
async function addPaths(client: Client, owner: Owner, slug: string, writer: string, wanted: number) {
  const accepted: Publication[] = [];
  let lost = 0;
  let base: JsonObject | undefined;
  let added: Map<string, NewTarget> | undefined;
  while (accepted.length < wanted) {
    base ??= parseTargets(await newest(client, slug)).envelope.signed;
    added = new Map([[`w${writer}/n${accepted.length}`, { length: 1, digest: sha256Of(writer) }]]);
    const file = await owner.sign('org', owner.nextOf(base, added));
    const answer: Answer<Publication & Problem> = await client.publish(slug, publication({ org: file }));
    if (answer.status === 201) {
      accepted.push(answer.body);
      base = JSON.parse(file).signed as JsonObject;
    } else {
      assert.equal(answer.body.code, 'CONFLICT', JSON.stringify(answer.body));
      const version = answer.body.current?.versions['org'] ?? 0;
      assert.ok(version >= Number(base['version']), 'told the version that won');
      base = parseTargets(await servedFile(client.url, slug, `${version}.org.json`)).envelope.signed;
      lost += 1;
    }
  }
  return { accepted, lost };
}

async function newest(client: Client, slug: string): Promise<Buffer> {
  const state = await client.call<{ roles: { name: string; version: number }[] }>(
    'GET',
    `/v1/tenants/${slug}`,
  );
  const version = state.body.roles.find(({ name }) => name === 'org')?.version ?? 0;
  return servedFile(client.url, slug, `${version}.org.json`);
}

describeService('many writers', (current) => {
  it('32 on one tenant, a role each', async () => {
    const { operator, server } = current();
    const roles = writers.map((writer) => `repo~w${writer}`);
    const { owner, slug } = await operator.tenant('roles', ['reserved', ...roles]);
    const accepted = await Promise.all(roles.map((role) => publishRole(operator, owner, slug, role, 8)));
    await requireAll(server.url, slug, accepted.flat());
    const versions = await readTenant(server.url, slug);
    for (const role of roles) assert.equal(versions.get(role), 9);
    // Those that shared a head share its versions.
    const heads = new Set(accepted.flat().map(({ snapshotVersion }) => snapshotVersion));
    assert.ok(heads.size < 32 * 8, `${heads.size} heads`);
  });

  it('32 on one role: each gets its turn, and no path is lost', async () => {
    const { operator, server } = current();
    const { owner, slug } = await operator.tenant('role', ['reserved', 'org']);
    const results = await Promise.all(writers.map((writer) => addPaths(operator, owner, slug, writer, 2)));
    const accepted = results.flatMap((result) => result.accepted);
    await requireAll(server.url, slug, accepted);
    const file = parseTargets(await newest(operator, slug));
    assert.equal(file.version, 1 + 64);
    assert.equal(file.targets.size, 64);
  });

  it('64 tenants at once', async () => {
    const { operator, server } = current();
    const tenants = await Promise.all(
      Array.from({ length: 64 }, (_, i) => operator.tenant(`t${i}`, ['reserved', 'org'])),
    );
    await Promise.all(
      tenants.map(async ({ owner, slug }) => {
        await requireAll(server.url, slug, await publishRole(operator, owner, slug, 'org', 4));
        assert.equal((await readTenant(server.url, slug)).get('org'), 5);
      }),
    );
  });
});

describe('many writers through several processes', () => {
  it('on one tenant and on one role', async function () {
    postgres.prepare(this);
    const { config, drop } = await postgres.database();
    const one = await startService(config);
    const services = [
      one,
      await startService({ ...one.config, port: 0 }),
      await startService({ ...one.config, port: 0 }),
    ];
    try {
      const roles = writers.map((writer) => `repo~w${writer}`);
      const { owner, slug } = await one.operator.tenant('acme', ['reserved', ...roles, 'org']);
      const clientOf = (i: number): Client => services[i % services.length]?.operator ?? one.operator;
      const [own, shared] = await Promise.all([
        Promise.all(roles.map((role, i) => publishRole(clientOf(i), owner, slug, role, 4))),
        Promise.all(writers.slice(0, 9).map((writer, i) => addPaths(clientOf(i), owner, slug, writer, 2))),
      ]);
      const accepted = [...own.flat(), ...shared.flatMap((result) => result.accepted)];
      for (const service of services) {
        await new Promise((resolve) => setTimeout(resolve, one.config.stalenessMs));
        await requireAll(service.server.url, slug, accepted);
      }
      const file = parseTargets(await newest(one.operator, slug));
      assert.equal(file.targets.size, 18);
      const database = new DatabaseClient({ connectionString: config.databaseUrl });
      await database.connect();
      const { rows } = await database.query<AuditRow>('SELECT seq, record, hash FROM audit ORDER BY seq');
      await database.end();
      requireChain(rows);
      assert.equal(rows.length, accepted.length + 1);
    } finally {
      for (const { server } of services) await server.close();
      await drop();
    }
  });
});
