/** People who log in at a real issuer, and everything that may go wrong or be done to them on the way. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Token } from '@mandate/api';
import { issuersOf } from '../server/issuers.ts';
import { needs } from '../support/needs.ts';
import { OidcIssuer, publicClient } from '../support/oidc-issuer.ts';
import { freePort } from '../support/port.ts';
import { Visitor, type VisitorOptions } from '../support/visitor.ts';
import { useWorld, World, type Person, type Ran } from './world.ts';

type Visit = ReturnType<Visitor['open']>;
type Done = Awaited<Visit>;

const program = fileURLToPath(new URL('../../packages/cli/bin/mandate.js', import.meta.url));

describe('cli: login of people', () => {
  let issuer: OidcIssuer;
  const world = useWorld(async () => {
    const port = await freePort();
    const audience = `http://127.0.0.1:${port}`;
    issuer = await OidcIssuer.start(audience, [
      { id: 'ann' },
      { id: 'ops', claims: { groups: ['mandate'] } },
    ]);
    const oidc = [
      {
        issuer: issuer.url,
        audience,
        login: { clientId: publicClient },
        operators: [{ claims: { groups: 'mandate' } }],
      },
    ];
    return { port, issuers: issuersOf({ allowLoopback: true, oidc }) };
  });
  after(() => issuer?.stop());

  /** Somebody with a terminal and, unless told otherwise, a browser. */
  function human(env: Readonly<Record<string, string>> = { DISPLAY: ':0' }): Person {
    return world().person(env);
  }

  /** Logs in through the browser. @param more what the visitor does, or has done to them */
  async function browse(
    person: Person,
    more: Partial<VisitorOptions> = {},
    options: readonly string[] = [],
  ): Promise<{ ran: Ran; page: Done | undefined; opened: string }> {
    const visitor = new Visitor({ answers: { login: 'ann', agree: 'yes' }, ...more });
    let visit: Visit | undefined;
    let opened = '';
    person.browse = (url) => {
      opened = url;
      visit = visitor.open(url);
      visit.catch(() => {});
    };
    const ran = await person.try(['login', world().url, ...options, '--json'], false);
    return { ran, page: await visit?.catch(() => undefined), opened };
  }

  /** Logs in with the code that the command shows. */
  async function enter(
    person: Person,
    options: readonly string[],
    { confirm, agree = 'yes' }: { confirm?: boolean; agree?: string },
  ): Promise<{ ran: Ran; page: Done | undefined }> {
    let visit: Promise<Done | undefined> | undefined;
    person.browse = () => assert.fail('no browser is opened');
    person.reads = (line) => {
      const [, page, code] = /^Open (\S+) in a browser and enter the code (\S+)$/.exec(line) ?? [];
      if (page === undefined || code === undefined) return;
      visit = new Visitor({ answers: { login: 'ann', agree, user_code: code } }).open(page);
    };
    const ran = await person.try(['login', world().url, ...options, '--json'], confirm);
    return { ran, page: await visit };
  }

  const logins = (person: Person): string => readFileSync(person.path('config/logins.json'), 'utf8');
  const refreshTokenOf = (person: Person): string =>
    /"refreshToken": "([^"]+)"/.exec(logins(person))?.[1] ?? assert.fail('no refresh token');

  /** The code of a login that failed, of which nothing was kept. */
  function codeOf(person: Person, { code, stdout, stderr }: Ran): string {
    assert.notEqual(code, 0);
    assert.equal(stdout, '');
    assert.throws(() => logins(person), 'nothing is kept');
    const line = stderr.slice(stderr.lastIndexOf('{"error"'));
    return (JSON.parse(line) as { error: { code: string } }).error.code;
  }

  it('opens the browser once it is said where and for what, and keeps the tokens for the owner alone', async () => {
    const ann = human();
    const lines: string[] = [];
    ann.reads = (line) => lines.push(line);
    let saidBefore = false;
    const { ran, page } = await browse(ann, {
      onVisit: () => {
        saidBefore ||= lines.some((line) => line.includes(world().url) && line.includes(issuer.url));
      },
    });
    assert.equal(ran.code, 0, ran.stderr);
    assert.ok(saidBefore);
    assert.equal(page?.status, 200);
    const { token } = JSON.parse(ran.stdout) as { token: Token };
    assert.deepEqual([token.kind, token.id, token.operator], ['oidc', `oidc:${issuer.url}#ann`, false]);
    assert.equal(statSync(ann.path('config/logins.json')).mode & 0o777, 0o600);
    await ann.do('tenant', 'list');
    assert.ok(!ran.stdout.includes(refreshTokenOf(ann)) && !ran.stderr.includes(refreshTokenOf(ann)));
  });

  it('opens the page from a terminal with the browser of the system', async function () {
    needs(this, 'script');
    const ann = human();
    const opened = ann.path('opened');
    const browser = ann.file(
      'browser',
      `#!/bin/sh\nprintf %s "$1" > ${opened}.new && mv ${opened}.new ${opened}\n`,
    );
    chmodSync(browser, 0o755);
    const command = `${process.execPath} ${program} login ${world().url} --json`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...ann.env, PATH: process.env['PATH'], BROWSER: browser },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const exit = once(child, 'exit');
    while (!existsSync(opened) && child.exitCode === null) await sleep(50);
    const page = await new Visitor({ answers: { login: 'ann', agree: 'yes' } }).open(
      readFileSync(opened, 'utf8'),
    );
    assert.deepEqual([page.status, await exit], [200, [0, null]]);
    await ann.do('tenant', 'list');
  });

  it('makes an operator of whom the configuration means, under their own name in the audit log', async () => {
    const ops = human();
    const { ran } = await browse(ops, { answers: { login: 'ops', agree: 'yes' } });
    const { token } = JSON.parse(ran.stdout) as { token: Token };
    assert.equal(token.operator, true);
    await ops.do('key', 'generate', 'release');
    await ops.do('tenant', 'create', 'by-ops', '--key', 'release');
    const response = await fetch(`${world().url}/v1/tenants/@service/audit?chain=administration`, {
      headers: { authorization: `Bearer ${/"token": "([^"]+)"/.exec(logins(ops))?.[1]}` },
    });
    const text = await response.text();
    assert.ok(text.includes(`oidc:${issuer.url}#ops`), text);
  });

  it('logs in by a code where there is no browser, over SSH, and without a terminal', async () => {
    for (const [env, options, confirm] of [
      [{}, [], false],
      [{ DISPLAY: ':0', SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }, [], false],
      [{ DISPLAY: ':0' }, ['--device'], undefined],
    ] as const) {
      const ann = human(env);
      const { ran, page } = await enter(ann, options, confirm === undefined ? {} : { confirm });
      assert.equal(ran.code, 0, ran.stderr);
      assert.equal(page?.status, 200);
      await ann.do('tenant', 'list');
    }
  });

  it('is told when a person says no', async () => {
    const ann = human();
    const { ran } = await browse(ann, { answers: { login: 'ann', agree: 'no' } });
    assert.equal(codeOf(ann, ran), 'LOGIN_DENIED');
    const bob = human({});
    const device = await enter(bob, [], { confirm: true, agree: 'no' });
    assert.equal(codeOf(bob, device.ran), 'LOGIN_DENIED');
  });

  it('ends when nobody comes, by either way', async () => {
    const ann = human();
    ann.browse = () => {};
    const wait = ['--timeout', '1s', '--json'];
    assert.equal(codeOf(ann, await ann.try(['login', world().url, ...wait], true)), 'LOGIN_TIMEOUT');
    assert.equal(
      codeOf(ann, await ann.try(['login', world().url, '--device', ...wait], true)),
      'LOGIN_TIMEOUT',
    );
  });

  describe('in the hands of somebody else', () => {
    /** Changes a parameter of what the browser is sent to, or comes back with. */
    const changing =
      (where: 'there' | 'back', change: (parameters: URLSearchParams) => void) =>
      (url: URL): void => {
        if (
          where === 'there'
            ? url.pathname === '/auth' && url.searchParams.has('state')
            : url.pathname === '/callback'
        )
          change(url.searchParams);
      };

    it('takes no other state, and waits on for its own', async () => {
      const ann = human();
      const pages: number[] = [];
      const visitor = new Visitor({ answers: { login: 'ann', agree: 'yes' } });
      const stranger = new Visitor({
        answers: { login: 'eve', agree: 'yes' },
        onVisit: changing('there', (parameters) => parameters.set('state', 'of-somebody-else')),
      });
      ann.browse = (url) => {
        const forged = new URL(new URL(url).searchParams.get('redirect_uri') ?? '');
        forged.search = '?error=access_denied';
        void (async () => {
          pages.push((await stranger.open(url)).status, (await stranger.open(forged.href)).status);
          pages.push((await visitor.open(url)).status);
        })();
      };
      const ran = await ann.try(['login', world().url, '--json'], true);
      const { token } = JSON.parse(ran.stdout) as { token: Token };
      assert.equal(token.label, 'ann');
      assert.deepEqual(pages, [400, 400, 200]);
    });

    it('takes an answer once: its state again, or elsewhere, is nothing', async () => {
      let back = '';
      const bob = human();
      const { ran } = await browse(bob, {
        onVisit: (url) => {
          if (url.pathname === '/callback') back = url.href;
        },
      });
      assert.equal(ran.code, 0);
      await assert.rejects(fetch(back), 'nobody listens any more');
      // What one login was answered is no answer to the next one.
      const carol = human();
      let status = 0;
      carol.browse = (url) => {
        const target = new URL(new URL(url).searchParams.get('redirect_uri') ?? '');
        target.search = new URL(back).search;
        void fetch(target).then((response) => {
          status = response.status;
          return new Visitor({ answers: { login: 'carol', agree: 'yes' } }).open(url);
        });
      };
      const { stdout } = await carol.try(['login', world().url, '--json'], true);
      const { token } = JSON.parse(stdout) as { token: Token };
      assert.deepEqual([token.label, status], ['carol', 400]);
    });

    it('takes no code that was issued to another login', async () => {
      let stolen = '';
      const eve = human();
      eve.browse = (url) => {
        const visitor = new Visitor({
          answers: { login: 'eve', agree: 'yes' },
          // Not redeemed: eve keeps it for ann, and ends the login.
          onVisit: ({ pathname, searchParams }) => {
            if (pathname !== '/callback') return;
            stolen = searchParams.get('code') ?? '';
            searchParams.delete('code');
            searchParams.set('error', 'access_denied');
          },
        });
        void visitor.open(url);
      };
      assert.equal(codeOf(eve, await eve.try(['login', world().url, '--json'], true)), 'LOGIN_DENIED');
      assert.notEqual(stolen, '');
      const ann = human();
      const { ran } = await browse(ann, {
        onVisit: changing('back', (parameters) => parameters.set('code', stolen)),
      });
      assert.equal(codeOf(ann, ran), 'LOGIN_FAILED');
    });

    for (const [what, where, change] of [
      ['another challenge than its own', 'there', (p) => p.set('code_challenge', 'A'.repeat(43))],
      ['another nonce than its own', 'there', (p) => p.set('nonce', 'of-another-login')],
      ['the answer of another issuer', 'back', (p) => p.set('iss', 'https://other.example')],
      ['an answer that does not say whose it is', 'back', (p) => p.delete('iss')],
      ['an answer with two codes', 'back', (p) => p.append('code', 'another')],
    ] as readonly (readonly [string, 'there' | 'back', (parameters: URLSearchParams) => void])[]) {
      it(`refuses ${what}`, async () => {
        const ann = human();
        const { ran, page } = await browse(ann, { onVisit: changing(where, change) });
        assert.equal(codeOf(ann, ran), 'LOGIN_FAILED');
        assert.equal(page?.url.pathname, '/callback');
      });
    }

    it('sends a token that is for something else to nobody', async () => {
      const ann = human();
      issuer.wrongAudience = 'https://other.example';
      try {
        const { ran } = await browse(ann);
        assert.equal(codeOf(ann, ran), 'LOGIN_FAILED');
      } finally {
        issuer.wrongAudience = undefined;
      }
    });

    describe('as the service', () => {
      const seen: (string | undefined)[] = [];
      let offer = { issuer: '', clientId: publicClient, audience: '', scopes: [], maxTokenAgeSeconds: 60 };
      let evil: Server;
      let url: string;

      before(async () => {
        const known = (await (await fetch(`${world().url}/.well-known/mandate`)).json()) as object;
        evil = createServer((request, response) => {
          seen.push(request.headers.authorization);
          response
            .writeHead(200, { 'content-type': 'application/json' })
            .end(JSON.stringify({ ...known, logins: [offer] }));
        });
        await new Promise<void>((resolve) => {
          evil.listen(0, '0.0.0.0', resolve);
        });
        url = `http://127.0.0.1:${(evil.address() as AddressInfo).port}`;
      });
      after(() => {
        evil.closeAllConnections();
        evil.close();
      });

      it('is not given a token that is good elsewhere, too, unasked', async () => {
        const ann = human();
        ann.browse = () => assert.fail('nothing is opened');
        const elsewhere = url.replace('127.0.0.1', 'localhost');
        for (const audience of [
          world().url,
          publicClient,
          `${url}/below`,
          `${url}?x`,
          elsewhere,
          'mandate:',
        ]) {
          offer = { ...offer, issuer: issuer.url, audience };
          assert.equal(
            codeOf(ann, await ann.try(['login', url, '--json'], false)),
            'NOT_CONFIRMED',
            audience,
          );
          assert.equal(codeOf(ann, await ann.try(['login', url, '--device', '--json'])), 'NOT_CONFIRMED');
        }
        assert.deepEqual(new Set(seen), new Set([undefined]));
      });

      it('sends nobody to an issuer on their own machine, or to what is none', async () => {
        const ann = human();
        ann.browse = () => assert.fail('nothing is opened');
        const far = url.replace('127.0.0.1', '0.0.0.0');
        for (const [service, named] of [
          [far, issuer.url],
          [url, 'http://login.example'],
          [url, 'file:///etc/passwd'],
          [url, 'https://user@login.example'],
          [url, 'https://login.example/\u001b[2J'],
        ] as const) {
          offer = { ...offer, issuer: named, audience: service };
          assert.equal(codeOf(ann, await ann.try(['login', service, '--json'], true)), 'USAGE', named);
        }
      });
    });
  });

  describe('afterwards', () => {
    it('renews silently, once for all commands that run at the time', async () => {
      const ann = human();
      await browse(ann);
      const [first, { length }] = [refreshTokenOf(ann), issuer.grants];
      ann.clockAheadMs = 400_000;
      const ran = await Promise.all([1, 2, 3, 4].map(() => ann.try(['tenant', 'list'])));
      assert.deepEqual(
        ran.map(({ code }) => code),
        [0, 0, 0, 0],
      );
      assert.deepEqual(issuer.grants.slice(length), ['refresh_token']);
      assert.notEqual(refreshTokenOf(ann), first, 'rotated');
      ann.clockAheadMs = 800_000;
      await ann.do('tenant', 'list');
      assert.deepEqual(issuer.grants.slice(length), ['refresh_token', 'refresh_token']);
    });

    it('renews once for several programs, too', async () => {
      const ann = human();
      await browse(ann);
      const file = ann.path('config/logins.json');
      writeFileSync(file, logins(ann).replace(/"expires": "[^"]+"/, '"expires": "2026-01-01T00:00:00.000Z"'));
      const { length } = issuer.grants;
      const exits = [1, 2, 3].map(async () => {
        const env = { ...ann.env, PATH: process.env['PATH'] };
        const child = spawn(process.execPath, [program, 'tenant', 'list'], { env, stdio: 'ignore' });
        return (await once(child, 'exit'))[0] as number;
      });
      assert.deepEqual(await Promise.all(exits), [0, 0, 0]);
      assert.deepEqual(issuer.grants.slice(length), ['refresh_token']);
    });

    it('renews where the service takes a token no more, whatever the clock here says', async () => {
      const ann = human();
      await browse(ann);
      const bad = logins(ann).replace(/"token": "([^".]+\.[^".]+)\.[^"]+"/, '"token": "$1.AAAA"');
      writeFileSync(ann.path('config/logins.json'), bad);
      const { length } = issuer.grants;
      await ann.do('tenant', 'list');
      assert.deepEqual(issuer.grants.slice(length), ['refresh_token']);
    });

    it('ends with logout: revoked at the issuer, and forgotten here', async () => {
      const ann = human();
      await browse(ann);
      const refreshToken = refreshTokenOf(ann);
      const { revoked } = await ann.json<{ revoked: boolean }>('logout');
      assert.equal(revoked, true);
      assert.ok(!logins(ann).includes(issuer.url));
      await ann.fails('NOT_LOGGED_IN', 'tenant', 'list', '--service', world().url);
      await ann.fails('NOT_LOGGED_IN', 'logout');
      const response = await fetch(`${issuer.url}/token`, {
        method: 'POST',
        body: new URLSearchParams({
          grant_type: 'refresh_token',
          refresh_token: refreshToken,
          client_id: publicClient,
        }),
      });
      assert.equal(((await response.json()) as { error: string }).error, 'invalid_grant');
      await ann.do('login', world().url, '--token-file', world().tokenFile);
      assert.equal((await ann.json<{ revoked: boolean }>('logout', world().url)).revoked, false);
    });

    it('is over once the issuer says so, and is not tried again', async () => {
      const ann = human();
      await browse(ann);
      const kept = logins(ann);
      await ann.do('logout');
      writeFileSync(ann.path('config/logins.json'), kept, { mode: 0o600 });
      ann.clockAheadMs = 400_000;
      const { next } = await ann.fails('NOT_LOGGED_IN', 'tenant', 'list');
      assert.equal(next, `mandate login ${world().url}`);
      const { length } = issuer.grants;
      await ann.fails('NOT_LOGGED_IN', 'tenant', 'list');
      assert.equal(issuer.grants.length, length);
      await browse(ann);
      await ann.do('tenant', 'list');
    });

    it('stays while its issuer cannot be reached', async () => {
      const ann = human();
      await browse(ann);
      const gone = logins(ann).replaceAll(issuer.url, `http://127.0.0.1:${await freePort()}`);
      writeFileSync(ann.path('config/logins.json'), gone);
      ann.clockAheadMs = 400_000;
      await ann.fails('UNREACHABLE', 'tenant', 'list');
      assert.equal(logins(ann), gone);
    });

    it('is not in the way of what anyone may read, once it is over', async () => {
      const alice = await world().tenant('open');
      const { genesis } = await alice.json<{ genesis: string }>('tenant', 'show', 'open');
      const file = alice.file('f', 'f');
      await alice.do('sign', '--tenant', 'open', '--name', 'x:1', file);
      const ann = human();
      await browse(ann);
      await ann.do('trust', 'add', 'open', '--url', world().url, '--genesis', genesis, '--no-check');
      await ann.do('verify', '--tenant', 'open', '--name', 'x:1', file);
      const kept = logins(ann);
      await ann.do('logout');
      writeFileSync(ann.path('config/logins.json'), kept, { mode: 0o600 });
      ann.clockAheadMs = 400_000;
      await ann.do('verify', '--tenant', 'open', '--name', 'x:1', file);
    });
  });

  it('says what there is to do where the service or the person say too little', async () => {
    const ann = human();
    await ann.fails('USAGE', 'login', world().url);
    const gone = await ann.try(['login', `http://127.0.0.1:${await freePort()}`, '--json'], true);
    assert.equal(codeOf(ann, gone), 'UNREACHABLE');
    const choices: string[][] = [
      ['--issuer', 'https://other.example'],
      ['--issuer', 'http://other.example', '--client-id', 'x', '--audience', 'y'],
      ['--device', '--token-file', 'x'],
    ];
    for (const more of choices) {
      const { code } = await ann.try(['login', world().url, ...more], true);
      assert.equal(code, 2, more.join(' '));
    }
    const nobody = `http://127.0.0.1:${await freePort()}`;
    for (const [code, issuerUrl] of [
      ['UNREACHABLE', nobody],
      // There is something, and it is another issuer.
      ['LOGIN_FAILED', `${issuer.url}/`],
    ] as const) {
      const all = ['--issuer', issuerUrl, '--client-id', publicClient, '--audience', world().url];
      const ran = await ann.try(['login', world().url, ...all, '--json'], true);
      assert.equal(codeOf(ann, ran), code);
    }
  });

  it('shows the ID token where that is what the service takes, once somebody said yes to it', async () => {
    const login = { clientId: publicClient };
    const oidc = [{ issuer: issuer.url, audience: publicClient, maxTokenAgeSeconds: 60, login }];
    const other = await World.start({ issuers: issuersOf({ allowLoopback: true, oidc }) });
    try {
      const ann = human();
      ann.browse = (url) => {
        assert.equal(new URL(url).searchParams.get('resource'), null);
        void new Visitor({ answers: { login: 'ann', agree: 'yes' } }).open(url);
      };
      await ann.fails('NOT_CONFIRMED', 'login', other.url, '--device');
      const ran = await ann.try(['login', other.url], true);
      assert.equal(ran.code, 0, ran.stderr);
      const { length } = issuer.grants;
      ann.clockAheadMs = 100_000;
      await ann.do('tenant', 'list');
      assert.deepEqual(issuer.grants.slice(length), ['refresh_token']);
    } finally {
      await other.stop();
    }
  });

  it('bears clocks that differ a little, and refuses to believe one that is far ahead', async () => {
    for (const [aheadMs, ok] of [
      // The issuer's ID tokens are good for an hour.
      [3_630_000, true],
      [3_690_000, false],
      [-600_000, true],
    ] as const) {
      const ann = human();
      ann.clockAheadMs = aheadMs;
      const { ran } = await browse(ann);
      if (ok) assert.equal(ran.code, 0, ran.stderr);
      else assert.equal(codeOf(ann, ran), 'LOGIN_FAILED');
    }
  });
});
