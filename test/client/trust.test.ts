import assert from 'node:assert/strict';
import {
  ClientError,
  emptyTrust,
  encodeTrust,
  parseTrust,
  resolveName,
  withoutTenant,
  withTenant,
} from '@mandate/client';
import { MetadataError } from '@mandate/metadata';

const genesis = `sha256:${'a'.repeat(64)}`;
const tenants = [
  {
    tenant: '/',
    metadataUrl: 'http://localhost:8080/tuf/~/metadata/',
    genesis,
    prefixes: ['localhost:5000'],
  },
  {
    tenant: 'acme',
    metadataUrl: 'https://m.example/tuf/acme/metadata/',
    rootFile: 'acme.root.json',
    prefixes: ['localhost:5000/acme', 'Registry.example'],
  },
  {
    tenant: 'acme/labs',
    metadataUrl: 'http://localhost:1/',
    genesis,
    prefixes: ['localhost:5000/acme/labs'],
  },
];
const config = parseTrust(JSON.stringify({ tenants }));
const code = (code: string, reason: string) => (error: unknown) =>
  (error instanceof ClientError || error instanceof MetadataError) &&
  error.code === code &&
  error.reason === reason;

describe('client: trust configuration', () => {
  for (const [name, tenant, repository] of [
    ['localhost:5000/team/app', '/', 'team/app'],
    ['localhost:5000/acme/app', 'acme', 'app'],
    ['localhost:5000/acme/team/app', 'acme', 'team/app'],
    ['localhost:5000/acmeother/app', '/', 'acmeother/app'],
    ['localhost:5000/acme/labs/tool', 'acme/labs', 'tool'],
    ['LOCALHOST:5000/acme/labs/tool', 'acme/labs', 'tool'],
    ['registry.example/x', 'acme', 'x'],
  ] as const) {
    it(`${name} is ${repository} of ${tenant}`, () => {
      const found = resolveName(config, name);
      assert.deepEqual([found.tenant.tenant, found.repository], [tenant, repository]);
    });
  }

  for (const name of [
    'localhost/acme/app',
    'localhost:5001/acme/app',
    'registry.example.org/x',
    'localhost:5000/acme',
    'localhost:5000/acme/labs',
    'localhost:5000',
    '',
  ]) {
    it(`nobody is trusted for ${JSON.stringify(name)}`, () => {
      assert.throws(() => resolveName(config, name), code('NO_TRUST_ROOT', 'NO_ROOT'));
    });
  }

  it('refuses names that are no repository', () => {
    for (const name of [
      'localhost:5000/a/../b',
      'localhost:5000//a',
      'localhost:5000/A',
      'localhost:5000/acme/',
    ]) {
      assert.throws(() => resolveName(config, name), code('MALFORMED', 'NAME'));
    }
  });

  it('is written as it was read', () => {
    assert.deepEqual(parseTrust(encodeTrust(config)), config);
    assert.deepEqual(parseTrust(encodeTrust(emptyTrust)), emptyTrust);
    const nested = parseTrust(
      JSON.stringify({ tenants: [{ ...tenants[2], above: '/', origins: ['https://a.example:8443'] }] }),
    );
    assert.deepEqual(parseTrust(encodeTrust(nested)), nested);
    assert.deepEqual([nested.tenants[0]?.above, nested.tenants[0]?.origins?.length], ['/', 1]);
    const [first] = config.tenants;
    assert.ok(first !== undefined);
    assert.equal(withoutTenant(config, first.tenant).tenants.length, 2);
    assert.deepEqual(withTenant(withoutTenant(config, first.tenant), first).tenants.length, 3);
    assert.equal(withTenant(config, { ...first, prefixes: [] }).tenants.length, 3);
  });

  const one = tenants[0] as (typeof tenants)[number];
  for (const [what, content] of [
    ['nothing', ''],
    ['a list', '[]'],
    ['no tenants', '{}'],
    ['an unknown member', JSON.stringify({ tenants: [], policy: {} })],
    ['an unknown member of a tenant', JSON.stringify({ tenants: [{ ...one, threshold: 2 }] })],
    ['a duplicate member', '{"tenants":[],"tenants":[]}'],
    ['no pin', JSON.stringify({ tenants: [{ ...one, genesis: undefined }] })],
    ['two pins', JSON.stringify({ tenants: [{ ...one, rootFile: 'x' }] })],
    ['a genesis that is none', JSON.stringify({ tenants: [{ ...one, genesis: 'sha256:xyz' }] })],
    ['a file URL', JSON.stringify({ tenants: [{ ...one, metadataUrl: 'file:///etc/passwd' }] })],
    [
      'a prefix with a scheme',
      JSON.stringify({ tenants: [{ ...one, prefixes: ['http://localhost:5000'] }] }),
    ],
    ['a prefix with dots', JSON.stringify({ tenants: [{ ...one, prefixes: ['localhost/../x'] }] })],
    ['a tenant twice', JSON.stringify({ tenants: [one, { ...one, prefixes: [] }] })],
    ['a prefix twice', JSON.stringify({ tenants: [one, { ...one, tenant: 'b' }] })],
    ['an origin with a path', JSON.stringify({ tenants: [{ ...one, origins: ['https://a.example/'] }] })],
    ['an origin of another scheme', JSON.stringify({ tenants: [{ ...one, origins: ['ftp://a.example'] }] })],
    ['origins that are no list', JSON.stringify({ tenants: [{ ...one, origins: 'https://a.example' }] })],
    ['a tenant that is not above', JSON.stringify({ tenants: [{ ...one, tenant: 'a/b', above: 'a/bc' }] })],
    ['a tenant above itself', JSON.stringify({ tenants: [{ ...one, above: '/' }] })],
    ['a tenant of no grammar', JSON.stringify({ tenants: [{ ...one, tenant: '../x' }] })],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseTrust(content), code('NO_TRUST_ROOT', 'CONFIGURATION'));
    });
  }
});
