/** The canary before a real service, and before one whose answers are changed on the way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once as nextEvent } from 'node:events';
import { mkdtempSync, rmSync, readdirSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PublicationRequest, Tenant } from '@mandate/api';
import {
  anchorPath,
  anchorTarget,
  nextRoot,
  parsePublicKey,
  parseRoot,
  sha256Of,
  type JsonObject,
  type JsonValue,
  type NewTarget,
  type RoleKeys,
} from '@mandate/metadata';
import {
  comparePath,
  defaultCanaryConfig,
  outcomeOf,
  runCanaryOnce,
  startCanary,
  type Answer,
  type CanaryConfig,
  type CheckResult,
  type RoundReport,
} from '@mandate/server/canary';
import { Owner, publication, signed } from './owner.ts';
import { startReceiver } from './receiver.ts';
import { startService, servedFile, type Service } from './service.ts';
import { startTamperingProxy, type TamperingProxy } from './tampering-proxy.ts';

const roles = ['distrust', 'tenants', 'policy', 'reserved', 'repo~team~app', 'org'] as const;

function artifact(name: string): NewTarget {
  return { length: name.length, digest: sha256Of(name) };
}

/** A tag and its digest, as signing writes them. */
function tagged(repository: string, tag: string): [string, NewTarget][] {
  const target = artifact(`${repository}:${tag}`);
  return [
    [`${repository}/${tag}`, target],
    [`${repository}/${target.digest}`, target],
  ];
}

function tokenOf(token: string): () => Promise<string> {
  return () => Promise.resolve(token);
}

async function until(isDone: () => boolean | Promise<boolean>, what: () => string): Promise<void> {
  for (let tries = 0; !(await isDone()); tries += 1) {
    assert.ok(tries < 2_000, what());
    await sleep(20);
  }
}

describe('the canary', function () {
  this.timeout(120_000);
  let service: Service;
  let proxy: TamperingProxy;
  let folder: string;
  let states = 0;
  let log: string[] = [];
  let count = 0;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mandate-canary-'));
    service = await startService({
      dataFolder: join(folder, 'data'),
      logLevel: 'silent',
      feedDelayMs: 10,
      feedPollMs: 50,
    });
    proxy = await startTamperingProxy(service.server.url);
  });
  after(async () => {
    await proxy.close();
    await service.server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    proxy.tamper = () => undefined;
    proxy.before = () => Promise.resolve();
    proxy.reads.length = 0;
    log = [];
  });

  const destination = { write: (line: string): void => void log.push(line) };
  const logged = (level: number): Record<string, unknown>[] =>
    log
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter((entry) => entry['level'] === level);
  const newState = (): string => join(folder, `state-${(states += 1)}`);

  function configOf(settings: Partial<CanaryConfig>): CanaryConfig {
    return {
      ...defaultCanaryConfig,
      url: proxy.url,
      token: tokenOf(service.operator.token),
      stateFolder: newState(),
      newReaderShare: 0,
      confirmMs: 10,
      tenantsPerRound: 100,
      ...settings,
    };
  }

  const once = (config: CanaryConfig): Promise<RoundReport> => runCanaryOnce(config, destination);

  async function publish(
    slug: string,
    files: Record<string, string>,
    request: PublicationRequest = publication(files),
  ): Promise<void> {
    const answer = await service.operator.publish(slug, request);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
  }

  /** A tenant with entries of every kind. */
  async function tenant(path = `tenant${(count += 1)}`): Promise<{ owner: Owner; slug: string }> {
    const { owner, slug } = await service.operator.tenant(path, roles);
    await publish(slug, {
      'repo~team~app': await owner.advance(
        'repo~team~app',
        new Map([...tagged('team/app', 'v1'), ...tagged('team/app', 'v2')]),
      ),
      org: await owner.advance('org', new Map(tagged('other/tool', 'v1'))),
      distrust: await owner.advance(
        'distrust',
        new Map([[`~distrust/${sha256Of('bad')}`, artifact('why it is bad')]]),
      ),
    });
    return { owner, slug };
  }

  async function newOnlineKeys(owner: Owner, slug: string): Promise<void> {
    const made = await service.operator.call<Tenant>('POST', `/v1/tenants/${slug}/online-keys`, {});
    const keys = ({ key }: Tenant['onlineKeys']['snapshot']): RoleKeys => ({
      keys: [parsePublicKey(key as Record<string, JsonValue>)],
      threshold: 1,
    });
    const { snapshot, timestamp } = made.body.onlineKeys;
    const held = Buffer.from(owner.rootText);
    const root = nextRoot(
      parseRoot(held),
      { snapshot: keys(snapshot), timestamp: keys(timestamp) },
      Date.now() + 86_400_000,
    );
    owner.rootText = await signed(root, [owner.rootSigner]);
    await publish(slug, { root: owner.rootText });
  }

  const only = (slug: string, settings: Partial<CanaryConfig> = {}): CanaryConfig =>
    configOf({ tenants: [{ slug, genesis: undefined }], ...settings });

  /** Checks once, from what was kept by a round before that agreed. */
  async function afterAgreement(slug: string, tamper: TamperingProxy['tamper']): Promise<RoundReport> {
    const config = only(slug);
    assert.equal(outcomeOf(await once(config)), 'agree');
    proxy.tamper = tamper;
    return once(config);
  }

  function assertAlarmed(report: RoundReport, result: 'disagree' | 'refused', path?: string): void {
    assert.equal(outcomeOf(report), 'disagree');
    const found = report.findings.filter((finding) => finding.result === result && finding.path === path);
    assert.equal(found.length, 1, JSON.stringify(report.findings));
    assert.ok(logged(50).some((entry) => entry['result'] === result && entry['path'] === path));
  }

  it('agrees on ordinary, binned, rotated and nested tenants, from the start and from what it kept', async () => {
    const ordinary = await tenant('ordinary');
    const binned = await tenant('binned');
    await publish(binned.slug, await binned.owner.split('org', 4));
    const bins = new Map<string, string>();
    for (let i = 0; i < 16; i += 1) bins.set(`bins~org-${i.toString(16)}`, i.toString(16));
    const inBins = new Map<string, Map<string, NewTarget>>();
    for (const [path, target] of [...tagged('x/y', 'v1'), ...tagged('x/z', 'v2')]) {
      const digit = sha256Of(path).slice('sha256:'.length)[0] ?? '';
      const bin = `bins~org-${digit}`;
      inBins.set(bin, (inBins.get(bin) ?? new Map<string, NewTarget>()).set(path, target));
    }
    const files: Record<string, string> = {};
    for (const [bin, targets] of inBins) files[bin] = await binned.owner.advance(bin, targets);
    await publish(binned.slug, files);
    const rotated = await tenant('rotated');
    await newOnlineKeys(rotated.owner, rotated.slug);
    const nested = await tenant('ordinary/labs');
    const child = Buffer.from(nested.owner.rootText);
    const anchor = anchorTarget({
      genesis: nested.owner.genesis,
      rootVersion: 1,
      rootDigest: sha256Of(child),
      rootLength: child.length,
      metadataUrls: [`${service.server.url}/tuf/${nested.slug}/metadata`],
      status: 'active',
    });
    await publish(ordinary.slug, {
      tenants: await ordinary.owner.advance('tenants', new Map([[anchorPath('labs'), anchor]])),
    });

    const config = configOf({ pathsPerTenant: 1_000 });
    const first = await once(config);
    assert.equal(outcomeOf(first), 'agree', JSON.stringify(first.findings));
    assert.ok(first.tenants >= 4);
    // As it was kept, as a new reader, and after more was published and rotated.
    await newOnlineKeys(rotated.owner, rotated.slug);
    await publish(ordinary.slug, {
      org: await ordinary.owner.advance('org', new Map(tagged('other/tool', 'v3'))),
    });
    for (const newReaderShare of [0, 1]) {
      const report = await once({ ...config, newReaderShare });
      assert.equal(outcomeOf(report), 'agree', JSON.stringify(report.findings));
    }
    assert.deepEqual(
      readdirSync(config.stateFolder).filter((name) => name.startsWith('work-')),
      [],
    );
    // The token goes to no tenant that is open to everybody.
    assert.ok(proxy.reads.length > 0 && proxy.reads.every(({ withToken }) => !withToken));
    assert.deepEqual(logged(50), []);
  });

  it('refuses a changed role file, as both do', async () => {
    const { slug } = await tenant();
    const report = await afterAgreement(slug, (path, body) =>
      path.endsWith('.targets.json')
        ? Buffer.from(body.toString().replace(/"sig":"../, '"sig":"00'))
        : undefined,
    );
    assertAlarmed(report, 'refused');
  });

  it('refuses delegations in another order', async () => {
    const { slug } = await tenant();
    const report = await afterAgreement(slug, (path, body) => {
      if (!path.endsWith('.targets.json')) return undefined;
      const file = JSON.parse(body.toString()) as { signed: { delegations: { roles: unknown[] } } };
      file.signed.delegations.roles.reverse();
      return Buffer.from(JSON.stringify(file));
    });
    assertAlarmed(report, 'refused');
  });

  it('refuses an old timestamp, after a restart too', async () => {
    const { owner, slug } = await tenant();
    const old = await servedFile(service.server.url, slug, 'timestamp.json');
    await publish(slug, { org: await owner.advance('org') });
    const report = await afterAgreement(slug, (path) => (path.endsWith('/timestamp.json') ? old : undefined));
    assertAlarmed(report, 'refused');
    assert.match(JSON.stringify(report.findings), /ROLLBACK.*BadVersionError/);
  });

  it('refuses every path of a delegated role that is not served, bins too', async () => {
    const { owner, slug } = await tenant();
    await publish(slug, await owner.split('org', 1));
    for (const [role, begin] of [
      ['repo~team~app', 'team/app/canary-'],
      ['bins~org-1', 'canary-'],
    ] as const) {
      const config = only(slug);
      assert.equal(outcomeOf(await once(config)), 'agree');
      proxy.tamper = (path) => (path.endsWith(`.${role}.json`) ? { status: 404 } : undefined);
      // Four roles in each check: sooner or later this one.
      const reports: RoundReport[] = [];
      await until(
        async () => {
          reports.push(await once(config));
          return outcomeOf(reports.at(-1) as RoundReport) !== 'agree';
        },
        () => JSON.stringify(reports),
      );
      const { findings } = reports.at(-1) as RoundReport;
      assert.ok(
        findings.every(({ result }) => result === 'refused'),
        JSON.stringify(findings),
      );
      assert.ok(
        findings.some(({ path }) => path?.startsWith(begin)),
        JSON.stringify(findings),
      );
      proxy.tamper = () => undefined;
    }
  });

  it('disagrees where one of both takes what is served: a root or timestamp with more in it', async () => {
    const { slug } = await tenant();
    const more = (body: Buffer): Buffer => Buffer.from(body.toString().replace(/}$/, ',"more":1}'));
    for (const name of ['/timestamp.json', '/1.root.json']) {
      log = [];
      const report = await afterAgreement(slug, (path, body) =>
        path.endsWith(name) ? more(body) : undefined,
      );
      assertAlarmed(report, 'disagree');
      proxy.tamper = () => undefined;
    }
  });

  it('refuses another first root: by what it kept, and by the genesis that the operator pinned', async () => {
    const [one, other] = [await tenant(), await tenant()];
    const swap = (path: string): Buffer | undefined =>
      path === `/tuf/${one.slug}/metadata/1.root.json` ? Buffer.from(other.owner.rootText) : undefined;
    assertAlarmed(await afterAgreement(one.slug, swap), 'refused');
    const pinned = configOf({ tenants: [{ slug: one.slug, genesis: one.owner.genesis }] });
    assert.equal(outcomeOf(await once(pinned)), 'disagree');
    proxy.tamper = () => undefined;
    assert.equal(outcomeOf(await once(pinned)), 'agree');
    const wrong = configOf({ tenants: [{ slug: one.slug, genesis: other.owner.genesis }] });
    assert.match(JSON.stringify((await once(wrong)).findings), /ROOT_REPLACED/);
  });

  it('makes no alarm of what is gone at the second look, and counts it', async () => {
    const { slug } = await tenant();
    let wrong = 1;
    const report = await afterAgreement(slug, (path) =>
      path.endsWith('.targets.json') && wrong-- > 0 ? { status: 404 } : undefined,
    );
    assert.equal(outcomeOf(report), 'agree', JSON.stringify(report.findings));
    assert.deepEqual(logged(50), []);
  });

  it('says that it could not check: no answer, no such tenant, another token', async () => {
    const { slug } = await tenant();
    const down = await afterAgreement(slug, () => ({ status: 503 }));
    assert.deepEqual([outcomeOf(down), down.counts.unreachable], ['could-not-check', 1]);
    proxy.tamper = () => undefined;
    const missing = await once(only('nobody'));
    assert.deepEqual([outcomeOf(missing), missing.counts.skipped], ['could-not-check', 1]);
    await assert.rejects(once(configOf({ token: tokenOf(`${service.operator.token.slice(0, -1)}-`) })), {
      code: 'UNAUTHENTICATED',
    });
    assert.deepEqual(logged(50), []);
  });

  it('checks with the token of a reader what that reader may read', async () => {
    const { slug } = await tenant();
    await tenant();
    const reader = await service.operator.with([{ tenant: slug, level: 'reader' }]);
    const report = await once(configOf({ token: tokenOf(reader.token) }));
    assert.deepEqual([report.tenants, outcomeOf(report)], [1, 'agree']);
  });

  it('shows its token where a tenant is private, and knows one that it may not read from one that is gone', async () => {
    const { operator } = service;
    const made = await operator.call<Tenant>('POST', '/v1/tenants', {
      path: 'hidden',
      visibility: 'private',
    });
    const { slug } = made.body;
    const owner = new Owner();
    await publish(slug, {}, await owner.first(made.body.onlineKeys, roles));
    await publish(slug, {
      org: await owner.advance('org', new Map(tagged('other/tool', 'v1'))),
    });
    proxy.reads.length = 0;
    assert.equal(outcomeOf(await once(only(slug))), 'agree');
    assert.equal(proxy.reads.filter(({ withToken }) => !withToken).length, 1);
    const { slug: other } = await tenant();
    const stranger = await operator.with([{ tenant: other, level: 'reader' }]);
    const unread = await once(only(slug, { token: tokenOf(stranger.token) }));
    assert.deepEqual([outcomeOf(unread), unread.skipped[0]?.why], ['could-not-check', 'private']);
    // It is in the list of who may read it: then it must be served.
    proxy.tamper = () => ({ status: 404 });
    assertAlarmed(await once(only(slug)), 'refused');
  });

  it('skips what takes tuf-js too long, names the file, and leaves no process', async () => {
    const { owner, slug } = await tenant();
    const many = new Map<string, NewTarget>();
    for (let i = 0; i < 10_000; i += 1) many.set(`big/app/v${i}`, artifact(`v${i}`));
    await publish(slug, { org: await owner.advance('org', many) });
    let report: RoundReport | undefined;
    // Long enough for the rest of the tenant; the big file takes it many times that.
    for (let checkBudgetMs = 3_000; !report?.counts.agree; checkBudgetMs *= 2) {
      log = [];
      report = await once(only(slug, { checkBudgetMs, pathsPerTenant: 20 }));
    }
    assert.equal(outcomeOf(report), 'could-not-check', JSON.stringify(report.findings));
    assert.ok(report.findings.length > 0);
    for (const { result } of report.findings) assert.equal(result, 'skipped');
    const [skipped = {}] = logged(40);
    assert.equal(skipped['why'], 'out-of-time');
    assert.match(String(skipped['file']), /\.org\.json$/);
    assert.ok(Number(skipped['bytes']) > 500_000);
    assert.throws(() => process.kill(Number(skipped['pid']), 0), { code: 'ESRCH' });
  });

  it('comes to its end on 200 roots while others come with every answer', async () => {
    const { owner, slug } = await tenant();
    for (let version = 2; version <= 200; version += 1) {
      const root = nextRoot(parseRoot(Buffer.from(owner.rootText)), {}, Date.now() + 86_400_000);
      owner.rootText = await signed(root, [owner.rootSigner]);
      await publish(slug, { root: owner.rootText });
    }
    // Somebody writes all the while; and by the time that the timestamp is there it is of keys that the roots read before
    // do not name, and so on with each answer.
    let written = Promise.resolve();
    let [reads, published, rotations] = [0, 0, 0];
    let isTimestampRead = false;
    const write = async (): Promise<void> => {
      const entries = new Map(tagged('a/b', `v${(published += 1)}`));
      await publish(slug, { org: await owner.advance('org', entries) });
    };
    const rotate = async (): Promise<void> => {
      rotations += 1;
      await newOnlineKeys(owner, slug);
    };
    proxy.before = (path) => {
      if (path.endsWith('/1.root.json')) isTimestampRead = false;
      if (path.endsWith('/timestamp.json')) isTimestampRead = true;
      if (!path.startsWith('/tuf/')) return Promise.resolve();
      reads += 1;
      if (isTimestampRead) written = written.then(rotate);
      else if (reads % 4 === 0) written = written.then(write);
      return written;
    };
    const report = await once(only(slug, { newReaderShare: 1 }));
    assert.equal(outcomeOf(report), 'agree', JSON.stringify(report));
    assert.ok(rotations > 1 && published > 10);
    // Each once: with every root read twice, or again and again, there would be more.
    const roots = proxy.reads.filter(({ path }) => path.endsWith('.root.json'));
    assert.ok(roots.length < 200 + 10, String(roots.length));
    assert.equal(proxy.reads.filter(({ path }) => path.endsWith('/timestamp.json')).length, 1);
  });

  it('starts again where its state was left half-written or damaged', async () => {
    const { slug } = await tenant();
    const config = only(slug);
    await once(config);
    const file = (name: string): string => join(config.stateFolder, 'tenants', slug, name);
    const before = readFileSync(file('timestamp.json'));
    writeFileSync(file('root.json'), '{');
    writeFileSync(join(config.stateFolder, 'feed.json'), '[');
    assert.equal(outcomeOf(await once(config)), 'agree');
    assert.deepEqual(readFileSync(file('timestamp.json')), before);
    const running = await startCanary(config, destination);
    await assert.rejects(once(config), { code: 'DATA_FOLDER_IN_USE' });
    await running.close();
  });

  it('loads tuf-js in its child alone, and the service not at all', async () => {
    const program = `
      import { createRequire } from 'node:module';
      await import('@mandate/server');
      await import('@mandate/server/canary');
      const { cache } = createRequire(import.meta.url);
      process.exitCode = Object.keys(cache).some((path) => path.includes('tuf-js')) ? 1 : 0;`;
    const args = ['--conditions=mandate-source', '--input-type=module', '--eval', program];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const [code] = (await nextEvent(child, 'exit')) as [number | null];
    assert.equal(code, 0);
  });

  it('compares answer by answer', () => {
    const found = { kind: 'found', length: 3, sha256: 'aa' } as const;
    const absent = { kind: 'absent' } as const;
    const refused = { kind: 'refused', why: 'EXPIRED/EXPIRES' } as const;
    const tooDeep = { kind: 'refused', why: 'LIMIT_EXCEEDED/DEPTH' } as const;
    const table: [string, Answer, Answer | undefined, CheckResult][] = [
      ['a/b', found, { ...found }, 'agree'],
      ['a/b', absent, absent, 'agree'],
      ['a/b', refused, { kind: 'refused', why: 'another reason' }, 'refused'],
      ['a/b', found, { ...found, length: 4 }, 'disagree'],
      ['a/b', found, { ...found, sha256: 'ab' }, 'disagree'],
      ['a/b', found, absent, 'disagree'],
      ['a/b', absent, found, 'disagree'],
      ['a/b', refused, found, 'disagree'],
      ['a/b', absent, refused, 'disagree'],
      ['a/b', found, undefined, 'skipped'],
      ['a/b', tooDeep, absent, 'skipped'],
      ['a/b', tooDeep, found, 'disagree'],
      ['~none/b', absent, refused, 'refused'],
      ['~none/b', absent, found, 'disagree'],
    ];
    for (const [path, ours, theirs, result] of table)
      assert.equal(comparePath(path, ours, theirs).result, result, JSON.stringify([path, ours, theirs]));
  });

  describe('while it runs', () => {
    const metric = async (endpoint: string | undefined, name: string): Promise<number> => {
      const text = await (await fetch(`${endpoint}/metrics`)).text();
      const line = text.split('\n').find((one) => one.startsWith(`${name} `));
      return Number(line?.slice(name.length + 1));
    };

    it('raises no alarm while a tenant is published and rotated all the time', async () => {
      const { owner, slug } = await tenant();
      const config = only(slug, {
        port: 0,
        intervalMs: 10,
        feedPollMs: 10,
        newReaderShare: 0.5,
        pathsPerTenant: 4,
      });
      const running = await startCanary(config, destination);
      const agreed = (): Promise<number> =>
        metric(running.endpoint, 'mandate_canary_checks_total{result="agree"}');
      let published = 0;
      try {
        while ((await agreed()) < 30) {
          if (published % 4 === 3) await newOnlineKeys(owner, slug);
          else {
            const entries = new Map(tagged('a/b', `v${published}`));
            await publish(slug, { org: await owner.advance('org', entries) });
          }
          published += 1;
          assert.ok(published < 2_000);
        }
        assert.ok(published > 10);
        assert.equal(await metric(running.endpoint, 'mandate_canary_checks_total{result="disagree"}'), 0);
        assert.equal(await metric(running.endpoint, 'mandate_canary_checks_total{result="refused"}'), 0);
      } finally {
        await running.close();
      }
      assert.deepEqual(logged(50), []);
    });

    it('looks first at what was published, tells a webhook of an alarm and of its end, and goes on after a restart', async () => {
      const { owner, slug } = await tenant();
      const receiver = await startReceiver();
      const config = configOf({
        port: 0,
        intervalMs: 3_600_000,
        tenantsPerRound: 0,
        feedPollMs: 20,
        webhook: { url: receiver.url, secret: Buffer.alloc(32, 1), allowInternal: true },
      });
      let running = await startCanary(config, destination);
      assert.equal((await fetch(`${running.endpoint}/healthz`)).status, 200);
      assert.equal((await fetch(`${running.endpoint}/other`)).status, 404);
      const shown = await (await fetch(`${running.endpoint}/metrics`)).text();
      const rules = readFileSync(new URL('../../deploy/canary-alerts.yml', import.meta.url), 'utf8');
      for (const [name] of rules.matchAll(/\bmandate_canary_[a-z_]+/g))
        assert.ok(shown.includes(`# TYPE ${name} `), name);
      const cursor = (): string => {
        try {
          return readFileSync(join(config.stateFolder, 'feed.json'), 'utf8');
        } catch {
          return '';
        }
      };
      await until(
        () => cursor() !== '',
        () => log.join(''),
      );
      const checks = (): unknown[] =>
        logged(30)
          .filter((entry) => 'agree' in entry)
          .map((entry) => entry['tenant']);
      await publish(slug, { org: await owner.advance('org', new Map(tagged('a/b', 'v1'))) });
      await until(
        () => checks().length === 1,
        () => log.join(''),
      );
      assert.deepEqual(checks(), [slug]);
      const success = await metric(running.endpoint, 'mandate_canary_last_success_timestamp_seconds');
      assert.ok(Math.abs(success - Date.now() / 1_000) < 600);
      assert.ok((await metric(running.endpoint, 'mandate_canary_timestamp_age_seconds')) < 600);
      await running.close();

      // Published while it did not run.
      proxy.tamper = (path) => (path.endsWith('.targets.json') ? { status: 404 } : undefined);
      await publish(slug, { org: await owner.advance('org') });
      running = await startCanary({ ...config, intervalMs: 50 }, destination);
      await receiver.until((deliveries) => deliveries.length === 1);
      const [alarm] = receiver.deliveries.map(({ event }) => event as unknown as JsonObject);
      assert.deepEqual([alarm?.['type'], alarm?.['tenant']], ['canary.alarm', slug]);
      assert.equal(await metric(running.endpoint, 'mandate_canary_alarms{result="refused"}'), 1);
      proxy.tamper = () => undefined;
      await receiver.until((deliveries) => deliveries.length === 2);
      const over = receiver.deliveries.map(({ event }) => event as unknown as JsonObject).at(-1);
      assert.equal(over?.['type'], 'canary.over');
      assert.equal(await metric(running.endpoint, 'mandate_canary_alarms{result="refused"}'), 0);
      await running.close();
      await receiver.close();
      assert.equal(logged(50).length, 1);
    });
  });
});
