/** docs/operations.md says what a running service and the alarms say; its commands for a service work on one. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { configFrom } from '@mandate/server';
import { parse } from 'yaml';
import { backends, startService, type Service } from '../server/service.ts';
import { needs } from '../support/needs.ts';

const run = promisify(execFile);

function pathOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

const page = readFileSync(pathOf('docs/operations.md'), 'utf8');
const rulesFile = pathOf('deploy/prometheus-rules.yaml');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly runbook: string };
}

const { groups } = parse(readFileSync(rulesFile, 'utf8')) as {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);

/** Rows of the table under a heading, each as its cells. */
function tableUnder(heading: string): string[][] {
  const section = new RegExp(`^### ${heading}\\n([\\s\\S]*?)(?=^##|(?![\\s\\S]))`, 'm').exec(page)?.[1] ?? '';
  return [...section.matchAll(/^\| (.*) \|$/gm)].slice(1).map(([, row = '']) => row.split(' | '));
}

/** Names of the families that a service exposes. */
function familiesOf(exposition: string): string[] {
  return [...exposition.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
}

describe('docs: operations', () => {
  let service: Service;
  let drop: () => Promise<void>;
  const documented = tableUnder('Metrics').flatMap(([first = '']) =>
    [...first.matchAll(/`([a-z0-9_]+)`/g)].map(([, name = '']) => name),
  );
  const ofService = (): Promise<Response> =>
    fetch(`${service.server.url}/metrics`, {
      headers: { authorization: `Bearer ${service.operator.token}` },
    });

  before(async () => {
    const [embedded] = backends;
    const database = await embedded?.database();
    if (database === undefined) throw new Error('no database');
    ({ drop } = database);
    service = await startService(database.config);
  });

  after(async () => {
    await service.server.close();
    await drop();
  });

  it('lists every metric of a running service, and no other', async () => {
    const exposed = familiesOf(await (await ofService()).text());
    assert.ok(exposed.length > 30);
    assert.deepEqual(new Set(documented).size, documented.length, 'once each');
    assert.deepEqual(
      exposed.filter((name) => !documented.includes(name)),
      [],
      'not in the table',
    );
    // Some of those of the process are not on every system.
    assert.deepEqual(
      documented.filter((name) => name.startsWith('mandate_') && !exposed.includes(name)),
      [],
      'only in the table',
    );
  });

  it('lists every alarm with its severity, where its runbook leads to', () => {
    const listed = tableUnder('Alarms').map(([first = '', severity]) => [
      ...(/<a id="(\w+)"><\/a>`(\w+)`/.exec(first)?.slice(1) ?? []),
      severity,
    ]);
    assert.deepEqual(
      listed,
      rules.map(({ alert, labels }) => [alert.toLowerCase(), alert, labels.severity]),
    );
    for (const { alert, annotations } of rules)
      assert.equal(annotations.runbook, `docs/operations.md#${alert.toLowerCase()}`);
  });

  it('has alarms on metrics that there are', () => {
    for (const { alert, expr } of rules)
      for (const [name] of expr.matchAll(/\b(?:mandate|nodejs|process)_\w+/g))
        assert.ok(documented.includes(name.replace(/_(?:bucket|count|sum)$/, '')), `${alert}: ${name}`);
  });

  it('has alarms that Prometheus takes, that are silent and that ring as they should', async function () {
    needs(this, 'promtool');
    const folder = mkdtempSync(join(tmpdir(), 'mandate-rules-'));
    try {
      await run('promtool', ['check', 'rules', rulesFile]);
      const tests = readFileSync(pathOf('test/deploy/prometheus-rules.test.yaml'), 'utf8');
      const file = join(folder, 'tests.yaml');
      writeFileSync(file, tests.replace('RULES', rulesFile));
      await run('promtool', ['test', 'rules', file]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('makes secrets that the service takes', async () => {
    const [, block = ''] = /^```sh run\n([\s\S]*?)^```$/m.exec(page) ?? [];
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', `${block}\nenv`], {
      env: { PATH: process.env['PATH'] },
    });
    const made = Object.fromEntries(
      [...stdout.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = '', value]) => [name, value]),
    );
    assert.match(made['POSTGRES_PASSWORD'] ?? '', /^[0-9a-f]{32}$/);
    const config = configFrom({ ...made, DATABASE_URL: 'postgres://m:m@db/m' });
    assert.ok(config.sealingKeys !== undefined && config.operatorToken !== undefined);
  });

  it('has commands that work on a service', async function () {
    needs(this, 'curl');
    await service.operator.tenant('acme', ['reserved', 'org']);
    const blocks = [...page.matchAll(/^```sh service\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
    assert.ok(blocks.length > 1);
    const env = {
      PATH: process.env['PATH'],
      MANDATE: service.server.url,
      TOKEN: service.operator.token,
    };
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', blocks.join('\n')], { env });
    assert.match(stdout, /"status":"ready"/);
    assert.match(stdout, /^mandate_publication_group_members_count 1$/m);
  });
});
