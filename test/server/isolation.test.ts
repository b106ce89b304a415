/**
 * Who may do what: every endpoint, every kind of principal, every cell asked of a running service. A new endpoint does not
 * compile before it has rows here. The table is that of docs/access.md; `MANDATE_WRITE_DOCS=1` writes it there.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  endpoints,
  type CreatedToken,
  type GrantLevel,
  type OperationId,
  type Problem,
  type Tenant,
} from '@mandate/api';
import { wireText } from '@mandate/metadata';
import { selfSignedCertificate } from '../support/certificate.ts';
import { OidcIssuer } from '../support/oidc-issuer.ts';
import { anchorOf, detachedFile } from './anchors.ts';
import { issuersOf } from './issuers.ts';
import { Owner, publication } from './owner.ts';
import { principals, workloads, type Principal } from './principals.ts';
import { backends, startService, type Client, type Service } from './service.ts';

const audience = 'https://mandate.example';
const registry = {
  issuer: 'registry tokens',
  service: 'registry.example',
  certificate: selfSignedCertificate(['registry']),
};

type Cell = 'yes' | '401' | '403' | '404';

/** What a row asks for; `slug` is the tenant, there or not. */
interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

interface Row {
  readonly what: string;
  readonly expected: (principal: Principal) => Cell;
  readonly call: (slug: string, world: World) => Promise<Call> | Call;
  /** What a refusal as 404 is compared with; default: the same of a tenant that is not there. */
  readonly absent?: (world: World) => Call;
  /** A success says so itself; default: anything but 401, 403 and 404. */
  readonly isYes?: (text: string) => boolean;
}

/** What the rows need to know of what is there. */
interface World {
  readonly operator: Client;
  readonly own: Client;
  readonly publicationId: string;
  readonly proposed: string;
}

const rank: Readonly<Record<GrantLevel, number>> = { owner: 3, publisher: 2, reader: 1 };
const has = ({ level }: Principal, wanted: GrantLevel): boolean =>
  level !== undefined && rank[level] >= rank[wanted];
const sees = (principal: Principal): boolean => principal.operator === true || has(principal, 'reader');

/** An answer under `/v1`: first the token, then whether the tenant is there for the caller, then the level. */
const api =
  (may: (principal: Principal) => boolean, hidden: '403' | '404' = '404') =>
  (principal: Principal): Cell => {
    if (principal.token === undefined || principal.bad === true) return '401';
    if (may(principal)) return 'yes';
    return sees(principal) ? '403' : hidden;
  };
const anyone = (): Cell => 'yes';
const known = api(() => true);
const reads = api(sees);
const publishes = api((principal) => has(principal, 'publisher'));
const letsSign = api(
  ({ name, ...principal }) => !name.startsWith('registry') && has({ name, ...principal }, 'publisher'),
);
const owns = api((principal) => has(principal, 'owner'));
const administers = api((principal) => principal.operator === true || has(principal, 'owner'));
const brings = api((principal) => principal.operator === true || has(principal, 'publisher'));
const operates = api((principal) => principal.operator === true, '403');
/** TUF files: without a token as if there were none. */
const readsFile = (principal: Principal): Cell => {
  if (principal.bad === true) return '401';
  return sees(principal) ? 'yes' : '404';
};

const at = (slug: string, rest = ''): string => `/v1/tenants/${slug}${rest}`;
const get = (path: string): Call => ({ method: 'GET', path });
/** With a body that is not as described: who may do it hears that, and nothing happens. */
const post = (path: string, body: unknown = { wrong: true }): Call => ({ method: 'POST', path, body });

async function proposal(slug: string, { own, proposed }: World): Promise<number> {
  if (slug !== 'acme~labs') return 1;
  const files = [{ role: 'org', signed: proposed }];
  const made = await own.call<{ number: number }>('POST', at(slug, '/proposals'), { files });
  assert.ok(made.status < 300, JSON.stringify(made.body));
  return made.body.number;
}

async function newToken({ operator }: World): Promise<string> {
  return (await operator.with([])).token.split('_')[1] ?? '';
}

/** The id of a webhook that is there. */
async function webhook(client: Client, path: string): Promise<string> {
  const { body } = await client.call<{ webhooks: { id: string }[] }>('GET', path);
  const [known] = body.webhooks;
  if (known !== undefined) return known.id;
  return (await client.call<{ id: string }>('POST', path, { url: 'http://127.0.0.1:9/' })).body.id;
}

function webhookRow(expected: Row['expected'], method: string, rest: string): Row {
  return {
    what: '',
    expected,
    call: async (slug, { own }) => ({
      method,
      path: `${at(slug, '/webhooks')}/${await webhook(own, at('acme~labs', '/webhooks'))}${rest}`,
    }),
  };
}

function operatorWebhookRow(method: string, rest: string): Row {
  return {
    what: '',
    expected: operates,
    call: async (_slug, { operator }) => ({
      method,
      path: `/v1/webhooks/${await webhook(operator, '/v1/webhooks')}${rest}`,
    }),
  };
}

const operations: Readonly<Record<OperationId, readonly Row[]>> = {
  createTenant: [
    {
      what: 'a tenant at the top',
      expected: operates,
      call: () => post('/v1/tenants', { path: `top-${randomUUID()}` }),
    },
    {
      what: 'a tenant below `acme`',
      expected: api(({ operator, parentLevel }) => operator === true || parentLevel === 'owner', '403'),
      call: () => post('/v1/tenants', { path: `acme/t-${randomUUID()}` }),
    },
  ],
  listTenants: [
    { what: 'a list', expected: known, call: () => get('/v1/tenants') },
    {
      what: 'the tenant in it',
      expected: (principal) => (known(principal) === 'yes' && !sees(principal) ? '404' : known(principal)),
      call: () => get('/v1/tenants'),
      isYes: (text) => text.includes('"acme~labs"'),
      absent: () => get('/v1/tenants'),
    },
  ],
  getTenant: [{ what: '', expected: reads, call: (slug) => get(at(slug)) }],
  newOnlineKeys: [{ what: '', expected: owns, call: (slug) => post(at(slug, '/online-keys'), {}) }],
  setVisibility: [{ what: '', expected: owns, call: (slug) => post(at(slug, '/visibility')) }],
  getAnchor: [{ what: '', expected: owns, call: (slug) => get(at(slug, '/anchor')) }],
  putAnchor: [
    {
      what: 'the detached anchor of the tenant, in the one above',
      expected: ({ token, bad, level, parentLevel, operator }) => {
        if (token === undefined || bad === true) return '401';
        if (level === 'owner' || (parentLevel !== undefined && rank[parentLevel] >= rank.publisher))
          return 'yes';
        return operator === true || parentLevel !== undefined ? '403' : '404';
      },
      call: (slug) => ({
        method: 'PUT',
        path: at('acme', `/anchors/${slug.replace('acme~', '')}`),
        body: { wrong: true },
      }),
    },
  ],
  createGrant: [{ what: '', expected: administers, call: (slug) => post(at(slug, '/grants')) }],
  listGrants: [{ what: '', expected: administers, call: (slug) => get(at(slug, '/grants')) }],
  deleteGrant: [
    {
      what: '',
      expected: administers,
      call: async (slug, world) => {
        const grant = { level: 'reader', token: await newToken(world) };
        const made = await world.operator.call<{ id: string }>('POST', at('acme~labs', '/grants'), grant);
        return { method: 'DELETE', path: at(slug, `/grants/${made.body.id}`) };
      },
    },
  ],
  publish: [
    { what: '', expected: publishes, call: (slug) => post(at(slug, '/publications')) },
    {
      what: 'signed by managed keys',
      expected: letsSign,
      call: (slug) =>
        post(at(slug, '/publications'), {
          id: randomUUID(),
          files: [{ role: 'org', metadata: '{}' }],
          managed: true,
        }),
    },
  ],
  getPublication: [
    {
      what: '',
      expected: (principal) => (sees(principal) || known(principal) === '401' ? reads(principal) : '404'),
      call: (_slug, { publicationId }) => get(`/v1/publications/${publicationId}`),
      absent: () => get(`/v1/publications/${randomUUID()}`),
    },
  ],
  propose: [{ what: '', expected: publishes, call: (slug) => post(at(slug, '/proposals')) }],
  listProposals: [{ what: '', expected: reads, call: (slug) => get(at(slug, '/proposals')) }],
  getProposal: [
    {
      what: '',
      expected: reads,
      call: async (slug, world) => get(at(slug, `/proposals/${await proposal(slug, world)}`)),
    },
  ],
  addSignatures: [
    {
      what: '',
      expected: publishes,
      call: async (slug, world) => post(at(slug, `/proposals/${await proposal(slug, world)}/signatures`)),
    },
  ],
  withdrawProposal: [
    {
      what: "somebody else's",
      expected: owns,
      call: async (slug, world) => post(at(slug, `/proposals/${await proposal(slug, world)}/withdraw`), {}),
    },
  ],
  listVersions: [{ what: '', expected: reads, call: (slug) => get(at(slug, '/roles/org/versions')) }],
  readAudit: [
    { what: '', expected: administers, call: (slug) => get(at(slug, '/audit')) },
    {
      what: "the service's own, `@service`",
      expected: (principal) => (operates(principal) === '403' ? '404' : operates(principal)),
      call: () => get(at('@service', '/audit')),
      absent: () => get(at('acme~none', '/audit')),
    },
  ],
  listCheckpoints: [{ what: '', expected: reads, call: (slug) => get(at(slug, '/audit/checkpoints')) }],
  auditKeys: [{ what: '', expected: known, call: () => get('/v1/audit/keys') }],
  feed: [{ what: '', expected: operates, call: () => get('/v1/feed') }],
  tenantFeed: [{ what: '', expected: reads, call: (slug) => get(at(slug, '/feed')) }],
  createWebhook: [{ what: '', expected: owns, call: (slug) => post(at(slug, '/webhooks')) }],
  listWebhooks: [{ what: '', expected: owns, call: (slug) => get(at(slug, '/webhooks')) }],
  deleteWebhook: [webhookRow(owns, 'DELETE', '')],
  testWebhook: [webhookRow(owns, 'POST', '/test')],
  rotateWebhook: [webhookRow(owns, 'POST', '/secret')],
  resumeWebhook: [webhookRow(owns, 'POST', '/resume')],
  createOperatorWebhook: [{ what: '', expected: operates, call: () => post('/v1/webhooks') }],
  listOperatorWebhooks: [{ what: '', expected: operates, call: () => get('/v1/webhooks') }],
  deleteOperatorWebhook: [operatorWebhookRow('DELETE', '')],
  testOperatorWebhook: [operatorWebhookRow('POST', '/test')],
  rotateOperatorWebhook: [operatorWebhookRow('POST', '/secret')],
  resumeOperatorWebhook: [operatorWebhookRow('POST', '/resume')],
  newManagedKey: [{ what: '', expected: owns, call: (slug) => post(at(slug, '/managed-keys')) }],
  listManagedKeys: [{ what: '', expected: reads, call: (slug) => get(at(slug, '/managed-keys')) }],
  signProposalManaged: [
    {
      what: '',
      expected: letsSign,
      call: async (slug, world) =>
        post(at(slug, `/proposals/${await proposal(slug, world)}/managed-signatures`)),
    },
  ],
  getRestore: [{ what: '', expected: operates, call: () => get('/v1/restore') }],
  beginRestore: [{ what: '', expected: operates, call: () => post('/v1/restore') }],
  endRestore: [{ what: '', expected: operates, call: () => post('/v1/restore/end', {}) }],
  getRestored: [{ what: '', expected: brings, call: (slug) => get(`/v1/restore/${slug}`) }],
  keepFiles: [{ what: '', expected: brings, call: (slug) => post(`/v1/restore/${slug}/files`) }],
  openRestored: [
    {
      what: '',
      expected: api(({ operator }) => operator === true),
      call: (slug) => post(`/v1/restore/${slug}/open`),
    },
  ],
  createToken: [
    {
      what: 'with a grant for the tenant',
      expected: administers,
      call: (tenant) => post('/v1/tokens', { label: 'x', grants: [{ tenant, level: 'reader' }] }),
    },
    {
      what: 'for an operator',
      expected: operates,
      call: () => post('/v1/tokens', { label: 'x', operator: true }),
    },
  ],
  listTokens: [
    { what: 'those that it made', expected: known, call: () => get('/v1/tokens') },
    {
      what: "somebody else's in it",
      expected: (principal) => (operates(principal) === '403' ? '404' : operates(principal)),
      call: async (_slug, { operator }) => {
        const made = await operator.call<CreatedToken>('POST', '/v1/tokens', { label: 'listed' });
        const before = (BigInt(`0x${made.body.id}`) - 1n).toString(16).padStart(16, '0');
        return get(`/v1/tokens?after=${before}`);
      },
      isYes: (text) => text.includes('"listed"'),
      absent: () => get('/v1/tokens?after=ffffffffffffffff'),
    },
  ],
  whoAmI: [{ what: '', expected: known, call: () => get('/v1/tokens/self') }],
  deleteToken: [
    {
      what: "somebody else's",
      expected: (principal) => {
        const cell = operates(principal);
        return cell === '403' ? '404' : cell;
      },
      call: async (_slug, world) => ({ method: 'DELETE', path: `/v1/tokens/${await newToken(world)}` }),
      absent: () => ({ method: 'DELETE', path: '/v1/tokens/0000000000000000' }),
    },
  ],
};

const files: readonly (Row & { readonly path: string })[] = [
  {
    path: '/tuf/acme/metadata/...',
    what: 'of a public tenant',
    expected: anyone,
    call: () => get('/tuf/acme/metadata/timestamp.json'),
  },
  ...['timestamp.json', 'root.json', '1.root.json', '1.org.json'].map((name) => ({
    path: `/tuf/acme~labs/metadata/${name}`,
    what: 'of a private tenant',
    expected: readsFile,
    call: (slug: string) => get(`/tuf/${slug}/metadata/${name}`),
  })),
  {
    path: '/tuf/acme/metadata/anchor~labs.json',
    what: 'the detached anchor of a private tenant',
    expected: readsFile,
    call: (slug) => get(`/tuf/acme/metadata/anchor~${slug.replace('acme~', '')}.json`),
    absent: () => get('/tuf/acme/metadata/anchor~none.json'),
  },
  { path: '/metrics', what: '', expected: operates, call: () => get('/metrics') },
  ...['/healthz', '/readyz', '/v1/openapi.json'].map((path) => ({
    path,
    what: '',
    expected: anyone,
    call: () => get(path),
  })),
];

const rows: readonly (Row & { readonly name: string })[] = [
  ...Object.entries(operations).flatMap(([operation, its]) => {
    const { method, path } = endpoints[operation as OperationId];
    return its.map((row) => ({
      ...row,
      name: `\`${method} ${path}\`${row.what === '' ? '' : ` ${row.what}`}`,
    }));
  }),
  ...files.map((row) => ({ ...row, name: `\`GET ${row.path}\`${row.what === '' ? '' : ` ${row.what}`}` })),
];

/** All that a client can see of an answer, but for the time and the id of the request. */
async function ask(url: string, { method, path, body }: Call, token: string | undefined) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const { status } = response;
  const code = status < 400 ? undefined : (JSON.parse(text) as Problem).code;
  const headers = [...response.headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
  return { status, code, text, seen: { status, headers, body: text.replace(/"requestId":"[^"]+"/, '') } };
}

const documentFile = new URL('../../docs/access.md', import.meta.url);
const heading = '## The table\n\n';

function rendered(everybody: readonly Principal[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const legend = everybody.map(({ name, who }) => `- *${name}*: ${who}`).join('\n');
  const table = [
    line(['request', ...everybody.map(({ name }) => name)]),
    line(['---', ...everybody.map(() => '---')]),
    ...rows.map(({ name, expected }) => line([name, ...everybody.map((principal) => expected(principal))])),
  ].join('\n');
  return `${legend}\n\n${table}\n`;
}

for (const backend of backends) {
  describe(`isolation, ${backend.name}`, () => {
    let issuer: OidcIssuer;
    let service: Service;
    let drop: (() => Promise<void>) | undefined;
    let everybody: Principal[];
    let world: World;

    before(async function () {
      backend.prepare(this);
      issuer = await OidcIssuer.start(audience, workloads);
      const made = await backend.database();
      ({ drop } = made);
      const issuers = issuersOf(
        {
          allowLoopback: true,
          oidc: [{ issuer: issuer.url, audience, operators: [{ subject: 'admin' }] }],
          registry: [{ issuer: registry.issuer, audience: registry.service, certificates: 'registry.pem' }],
        },
        { 'registry.pem': registry.certificate.certificatePem },
      );
      service = await startService({ ...made.config, issuers, openMetrics: false, webhookInternal: true });
      const { operator } = service;
      const { owner: acme } = await operator.tenant('acme', ['tenants', 'reserved', 'org']);
      await operator.tenant('other', ['reserved', 'org']);
      const create = { path: 'acme/labs', visibility: 'private' };
      const reserved = await operator.call<Tenant>('POST', '/v1/tenants', create);
      const owner = new Owner();
      const first = await operator.publish(
        'acme~labs',
        await owner.first(reserved.body.onlineKeys, ['reserved', 'org']),
      );
      assert.equal(first.status, 201);
      const next = await operator.publish('acme~labs', publication({ org: await owner.advance('org') }));
      assert.equal(next.status, 201);
      const metadata = await detachedFile(acme, 'labs', anchorOf(owner));
      const anchored = await operator.call('PUT', '/v1/tenants/acme/anchors/labs', { metadata });
      assert.equal(anchored.status, 201);
      everybody = await principals(operator, issuer, registry);
      world = {
        operator,
        own: await operator.with([{ tenant: 'acme~labs', level: 'owner' }]),
        publicationId: next.body.id,
        proposed: wireText(owner.next('org')),
      };
    });

    after(async () => {
      await service?.server.close();
      await drop?.();
      await issuer?.stop();
    });

    for (const row of rows) {
      it(row.name, async () => {
        const { url } = service.server;
        for (const principal of everybody) {
          const call = await row.call('acme~labs', world);
          const answer = await ask(url, call, principal.token);
          const refused = { 401: '401', 403: '403', 404: '404' }[answer.status];
          const isYes = row.isYes?.(answer.text) ?? true;
          const cell = refused ?? (isYes ? 'yes' : '404');
          assert.equal(cell, row.expected(principal), `${principal.name}: ${answer.text}`);
          if (cell !== '404') continue;
          const absent = row.absent?.(world) ?? (await row.call('acme~none', world));
          if (row.isYes !== undefined) continue;
          const other = await ask(url, absent, principal.token);
          assert.deepEqual(other.seen, answer.seen, principal.name);
        }
      });
    }

    it('is the table in docs/access.md', () => {
      const text = readFileSync(documentFile, 'utf8');
      const start = text.indexOf(heading) + heading.length;
      assert.ok(start >= heading.length, 'the heading is there');
      const table = rendered(everybody);
      if (process.env['MANDATE_WRITE_DOCS'] === '1')
        writeFileSync(documentFile, text.slice(0, start) + table);
      else assert.equal(text.slice(start), table);
    });
  });
}
