import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  digestFromHex,
  hexOf,
  isDigest,
  parseDigest,
  parseReferencePart,
  parseRepository,
  parseRoleName,
  parseTargetPath,
  parseTenantPath,
  parseTenantSlug,
  roleFileName,
  sha256Of,
  targetPath,
  tenantSlug,
} from '@mandate/metadata';
import { cpuMs } from './cpu-time.ts';
import { outcome, refuses } from './refusal.ts';

const digest = sha256Of('');
const hex = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const tricks = [
  '',
  '.',
  '..',
  '../a',
  'a/../b',
  'a//b',
  '/a',
  'a/',
  'a\\b',
  'a%2fb',
  'a\0b',
  'a\nb',
  'é',
  'a\u2215b',
  'ａ',
  ' a',
  'a ',
  'a b',
];

describe('metadata: names', () => {
  const names: readonly (readonly [
    string,
    (text: string) => unknown,
    readonly string[],
    readonly string[],
  ])[] = [
    [
      'tenant',
      parseTenantPath,
      ['/', 'acme', 'acme/labs', 'a-b.c_d__e/f--g'],
      ['~', 'acme~labs', 'Acme', '-a', 'a-', 'a.', 'a..b', 'a___b', 'a/_b', `${'a/'.repeat(127)}aa`],
    ],
    [
      'repository',
      parseRepository,
      ['app', 'team/app', '0'],
      ['/', 'Team/app', 'team:app', '~x', 'team/~x', 'a'.repeat(256)],
    ],
    [
      'reference',
      parseReferencePart,
      ['v1', '_', 'A.b-c', digest, 'a'.repeat(128)],
      [
        'a/b',
        '-a',
        '.a',
        'a:b',
        'a'.repeat(129),
        digest.toUpperCase(),
        `sha512:${'0'.repeat(128)}`,
        `${digest}0`,
        '~x',
      ],
    ],
    [
      'path',
      parseTargetPath,
      [
        'team/app/v1',
        `team/app/${digest}`,
        '~tenants/acme',
        'a+b',
        'constructor',
        '__proto__',
        'a'.repeat(1_024),
      ],
      ['-a', 'a/-b', '*', 'a/*', 'a?b', 'a'.repeat(1_025)],
    ],
    [
      'role',
      parseRoleName,
      ['targets', 'org', 'repo~team~app', 'bins~org-0f', 'a'.repeat(512)],
      ['Org', '~a', '-a', 'a/b', '*', 'a'.repeat(513)],
    ],
  ];
  for (const [what, parse, good, bad] of names) {
    it(`a ${what} is inside its grammar`, () => {
      for (const text of good) assert.equal(parse(text), text);
      for (const text of [...bad, ...tricks]) refuses('MALFORMED/NAME', () => parse(text));
    });
  }

  it('a digest is sha256 and 64 lower-case digits', () => {
    assert.equal(digest, `sha256:${hex}`);
    assert.equal(parseDigest(digest), digest);
    assert.equal(hexOf(digestFromHex(hex)), hex);
    for (const text of [
      hex,
      `sha256:${hex.toUpperCase()}`,
      `SHA256:${hex}`,
      `sha256:${hex}\n`,
      `sha256:${hex.slice(1)}`,
      `md5:${hex}`,
      `sha512:${hex}${hex}`,
    ]) {
      refuses('MALFORMED/NAME', () => parseDigest(text));
      assert.equal(isDigest(text), false);
    }
    refuses('MALFORMED/NAME', () => digestFromHex(hex.toUpperCase()));
    refuses('MALFORMED/NAME', () => digestFromHex(digest));
  });

  it('hex is sixteen characters and no other, at every place', () => {
    for (let code = 0; code < 0x300; code += 1) {
      const character = String.fromCharCode(code);
      const isHex = '0123456789abcdef'.includes(character);
      for (const at of [0, 31, 63]) {
        const text = hex.slice(0, at) + character + hex.slice(at + 1);
        if (isHex) assert.equal(hexOf(digestFromHex(text)), text);
        else refuses('MALFORMED/NAME', () => digestFromHex(text));
      }
    }
    for (const text of [`${hex}0`, `${hex}\n`, hex.slice(1), ''])
      refuses('MALFORMED/NAME', () => digestFromHex(text));
  });

  it('a tenant and its slug are one to one', () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,4}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
        const tenant = parseTenantPath(words.join('/'));
        assert.equal(tenantSlug(tenant), words.join('~'));
        assert.equal(parseTenantSlug(tenantSlug(tenant)), tenant);
      }),
    );
    assert.equal(tenantSlug(parseTenantPath('/')), '~');
    assert.equal(parseTenantSlug('~'), '/');
    for (const slug of ['', '~~', 'a~', '~a', 'a/b', 'a~~b', '..'])
      refuses('MALFORMED/NAME', () => parseTenantSlug(slug));
  });

  it('a target path is repository and reference', () => {
    assert.equal(targetPath(parseRepository('team/app'), 'v1'), 'team/app/v1');
    assert.equal(targetPath(parseRepository('app'), digest), `app/${digest}`);
    refuses('MALFORMED/NAME', () => targetPath(parseRepository('app'), 'a/b'));
  });

  it('no role name leaves its folder or reads as two names', () => {
    const unit = fc.constantFrom('.', '/', '\\', '%', '~', 'a', '\0', ':', '?', '#', 'é');
    fc.assert(
      fc.property(fc.string({ unit }), (role) => {
        const file = roleFileName(role);
        assert.match(file, /^[^/\\:?#\0]*\.json$/);
        assert.equal(decodeURIComponent(file), `${role}.json`);
      }),
    );
    assert.equal(roleFileName('../../etc'), '..%2F..%2Fetc.json');
    assert.equal(roleFileName('repo~team~app'), 'repo~team~app.json');
  });

  it('are parsed in time that grows with their length', () => {
    const texts = ['a-', 'a_', 'a/', '--'].map((text) => text.repeat(100_000));
    const spent = cpuMs(() => {
      for (const text of texts) for (const [, parse] of names) outcome(() => parse(text));
    });
    assert.ok(spent < 1_000, `${spent} ms`);
  });
});
