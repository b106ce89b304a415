/** The script of docs/audit.md finds a log whole, and one that was changed not. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { AuditKeys, CheckpointList } from '@mandate/api';
import { withDatabase } from '../server/database.ts';
import { publication } from '../server/owner.ts';
import { backends, startService, type Service } from '../server/service.ts';

const run = promisify(execFile);

describe('docs: audit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-audit-'));
  const script = join(folder, 'check.mjs');
  let service: Service;
  let drop: () => Promise<void>;

  before(async () => {
    const text = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
    writeFileSync(script, /```js\n(.*?)```/s.exec(text)?.[1] ?? '');
    const [embedded] = backends;
    const database = await embedded?.database();
    if (database === undefined) throw new Error('no database');
    ({ drop } = database);
    service = await startService({ ...database.config, checkpointMs: 50 });
  });

  after(async () => {
    await service.server.close();
    await drop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('has a script that checks a log without us', async () => {
    const { operator } = service;
    const { owner, slug } = await operator.tenant('acme', ['reserved', 'org']);
    await operator.publish(slug, publication({ org: await owner.advance('org') }));
    for (;;) {
      const path = `/v1/tenants/${slug}/audit/checkpoints`;
      const [newest] = (await operator.call<CheckpointList>('GET', path)).body.checkpoints;
      if (Buffer.from(newest?.payload ?? '', 'base64').includes('"publications":{"seq":2,')) break;
      await sleep(20);
    }
    const { keys } = (await operator.call<AuditKeys>('GET', '/v1/audit/keys')).body;
    const check = (): Promise<{ stdout: string }> =>
      run(process.execPath, [script, service.server.url, operator.token, slug, keys[0]?.keyId ?? '']);
    assert.match(
      (await check()).stdout,
      /^publications: 2 records, signed up to 2\nadministration: 1 records/,
    );
    await service.server.close();
    await withDatabase(service.config, (query) =>
      query(`UPDATE audit SET record = replace(record, '"org"', '"orb"') WHERE seq = 2`),
    );
    service = await startService(service.config);
    await assert.rejects(check());
  });
});
