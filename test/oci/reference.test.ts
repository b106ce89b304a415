import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { formatReference, manifestKey, OciError, parseReference, parseTag } from '@mandate/oci';
import { throwsCode } from './expect-code.ts';

const hex = 'a'.repeat(64);

describe('image references', () => {
  const valid: [text: string, full: string][] = [
    ['alpine', 'docker.io/library/alpine'],
    ['alpine:3', 'docker.io/library/alpine:3'],
    ['team/app', 'docker.io/team/app'],
    ['docker.io/alpine', 'docker.io/library/alpine'],
    ['index.docker.io/alpine', 'docker.io/library/alpine'],
    ['localhost/app', 'localhost/app'],
    ['localhost:5000', 'docker.io/library/localhost:5000'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['Registry.Example/a/b/c:V1', 'registry.example/a/b/c:V1'],
    ['host:1/a', 'host:1/a'],
    ['host/a', 'docker.io/host/a'],
    ['127.0.0.1:65535/a', '127.0.0.1:65535/a'],
    ['[::1]:5000/a', '[::1]:5000/a'],
    ['[0:0:0:0:0:0:0:1]/a', '[::1]/a'],
    ['r.example/a--b/c__d/e.f_g', 'r.example/a--b/c__d/e.f_g'],
    [`r.example/a@sha256:${hex}`, `r.example/a@sha256:${hex}`],
    [`r.example/a:v1@sha256:${hex}`, `r.example/a:v1@sha256:${hex}`],
    [`r.example/a:${'t'.repeat(128)}`, `r.example/a:${'t'.repeat(128)}`],
    [`r.example/${'n'.repeat(245)}`, `r.example/${'n'.repeat(245)}`],
  ];
  for (const [text, full] of valid) {
    it(`reads ${text.slice(0, 60)}`, () => {
      assert.equal(formatReference(parseReference(text)), full);
    });
  }

  const invalid: string[] = [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'Team/app',
    'team/App',
    'a:',
    'a:-v',
    'a:v 1',
    'a b',
    ' a',
    'a\n',
    'a..b',
    'a___b',
    '-a',
    'a-',
    '../a',
    'r.example/../a',
    'r.example/a/..',
    'r.example/~a',
    'r.example/%2e%2e/a',
    'r.example:0/a',
    'r.example:65536/a',
    'r.example:05000/a',
    'r.example:/a',
    'r.example./a',
    '.example/a',
    'r..example/a',
    '-r.example/a',
    'user@r.example/a',
    'https://r.example/a',
    '127.1/a',
    '0x7f.0.0.1/a',
    '127.0.0.01/a',
    '256.0.0.1/a',
    '[::1/a',
    '[::g]/a',
    '[::ffff:127.0.0.1]x/a',
    'ex\u00e4mple.com/a',
    'r.ex\u0430mple/a',
    hex,
    `a@sha256:${hex.slice(1)}`,
    `a@sha256:${hex}0`,
    `a@sha256:${hex.toUpperCase()}`,
    `a@${hex}`,
    'a@',
    'a@sha256:',
    `a@sha256:${hex}@sha256:${hex}`,
    `a@sha256:${hex}:v1`,
    `r.example/a:${'t'.repeat(129)}`,
    `r.example/${'n'.repeat(246)}`,
    `${'n/'.repeat(2000)}n`,
  ];
  for (const text of invalid) {
    it(`refuses ${JSON.stringify(text.slice(0, 60))}`, () =>
      throwsCode(() => parseReference(text), 'INVALID_REFERENCE'));
  }

  it('tells an unsupported digest from a broken one', () => {
    throwsCode(() => parseReference(`a@sha512:${hex}${hex}`), 'UNSUPPORTED_DIGEST');
    throwsCode(() => parseReference(`a@md5:${'0'.repeat(32)}`), 'UNSUPPORTED_DIGEST');
  });

  it('asks for the digest before the tag before latest', () => {
    assert.equal(manifestKey(parseReference(`a:v1@sha256:${hex}`)), `sha256:${hex}`);
    assert.equal(manifestKey(parseReference('a:v1')), 'v1');
    assert.equal(manifestKey(parseReference('a')), 'latest');
    throwsCode(() => parseTag('.v1'), 'INVALID_REFERENCE');
  });

  const segment = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}$/u);
  const host = fc.oneof(
    fc.stringMatching(/^[a-zA-Z0-9]{1,8}(\.[a-z][a-z0-9]{0,5}){1,2}$/u),
    fc.constantFrom('localhost', '127.0.0.1', '[::1]', '[fd00::2]'),
  );
  const reference = fc
    .record({
      host: fc.option(host),
      port: fc.option(fc.integer({ min: 1, max: 65_535 })),
      path: fc.array(segment, { minLength: 1, maxLength: 4 }),
      tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/u)),
      digest: fc.option(fc.stringMatching(/^sha256:[0-9a-f]{64}$/u)),
    })
    // Without a host, a first segment with a dot would be one.
    .filter(({ host: name, path }) => name !== null || path.length === 1 || !path[0]?.includes('.'))
    .map(({ host: name, port, path, tag, digest }) =>
      [
        name === null ? '' : `${name}${port === null ? '' : `:${port}`}/`,
        path.join('/'),
        tag === null ? '' : `:${tag}`,
        digest === null ? '' : `@${digest}`,
      ].join(''),
    );

  it('has one spelling for each reference', () => {
    fc.assert(
      fc.property(reference, (text) => {
        const parsed = parseReference(text);
        assert.deepEqual(parseReference(formatReference(parsed)), parsed);
        if (parsed.tag !== undefined) assert.ok(text.includes(`:${parsed.tag}`));
      }),
    );
  });

  it('answers any text with a reference that survives, or a coded error', () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a-z0-9.:/@_\-[\]A-F]{0,60}$/u),
      fc
        .tuple(reference, fc.nat(200), fc.string({ maxLength: 2 }))
        .map(([text, at, extra]) => text.slice(0, at) + extra + text.slice(at)),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        try {
          const parsed = parseReference(text);
          assert.equal(
            new URL(`https://${parsed.registry}/v2/${parsed.repository}/`).pathname,
            `/v2/${parsed.repository}/`,
          );
          assert.deepEqual(parseReference(formatReference(parsed)), parsed);
        } catch (error) {
          assert.ok(error instanceof OciError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
