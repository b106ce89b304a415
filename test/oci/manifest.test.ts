import assert from 'node:assert/strict';
import { checkManifest, manifestChildren, manifestMediaTypes } from '@mandate/oci';
import { throwsCode } from './expect-code.ts';

const [ociIndex, ociManifest, dockerList, dockerManifest] = manifestMediaTypes;
const digest = `sha256:${'b'.repeat(64)}`;

function bytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

describe('manifests', () => {
  it('reads the children of an index in order', () => {
    const entries = [
      {
        mediaType: ociManifest,
        digest,
        size: 10,
        platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
      },
      { mediaType: dockerManifest, digest, size: 0, artifactType: 'a/b', annotations: { x: 'y' } },
    ];
    for (const mediaType of [ociIndex, dockerList]) {
      assert.deepEqual(
        manifestChildren(bytes({ schemaVersion: 2, mediaType, manifests: entries }), mediaType),
        [
          {
            mediaType: ociManifest,
            digest,
            size: 10,
            platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
          },
          { mediaType: dockerManifest, digest, size: 0, artifactType: 'a/b' },
        ],
      );
    }
    assert.deepEqual(manifestChildren(bytes({ schemaVersion: 2, config: {}, layers: [] }), ociManifest), []);
  });

  it('refuses a media type that is no image or index', () => {
    for (const type of [
      '',
      'application/json',
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
    ]) {
      throwsCode(() => checkManifest(bytes({ schemaVersion: 2 }), type), 'UNSUPPORTED_MEDIA_TYPE');
    }
  });

  const malformed: [why: string, body: unknown][] = [
    ['another media type inside', { schemaVersion: 2, mediaType: ociManifest, manifests: [] }],
    ['no schema version', { manifests: [] }],
    ['layers in an index', { schemaVersion: 2, manifests: [], layers: [] }],
    ['layers in an index, another case', { schemaVersion: 2, manifests: [], Layers: [] }],
    ['no list', { schemaVersion: 2 }],
    ['a list', []],
    ['null', null],
    ['an entry that is null', { schemaVersion: 2, manifests: [null] }],
    ['a negative size', { schemaVersion: 2, manifests: [{ mediaType: 'x', digest, size: -1 }] }],
    ['a fractional size', { schemaVersion: 2, manifests: [{ mediaType: 'x', digest, size: 1.5 }] }],
    ['no media type', { schemaVersion: 2, manifests: [{ digest, size: 1 }] }],
    [
      'an upper-case digest',
      { schemaVersion: 2, manifests: [{ mediaType: 'x', digest: digest.toUpperCase(), size: 1 }] },
    ],
  ];
  for (const [why, body] of malformed) {
    it(`refuses an index with ${why}`, () =>
      throwsCode(() => manifestChildren(bytes(body), ociIndex), 'MALFORMED'));
  }

  it('refuses an image that is also an index, bytes that are not UTF-8, and too many children', () => {
    throwsCode(
      () => checkManifest(bytes({ schemaVersion: 2, layers: [], manifests: [] }), ociManifest),
      'MALFORMED',
    );
    throwsCode(
      () => checkManifest(Buffer.from('{"schemaVersion":2,"x":"\xff"}', 'latin1'), ociManifest),
      'MALFORMED',
    );
    throwsCode(() => checkManifest(Buffer.from('{'), ociManifest), 'MALFORMED');
    const twice = Buffer.from('{"schemaVersion":2,"manifests":[],"manifests":[]}');
    throwsCode(() => manifestChildren(twice, ociIndex), 'MALFORMED');
    const escaped = Buffer.from('{"schemaVersion":2,"manifests":[],"manif\\u0065sts":[]}');
    throwsCode(() => manifestChildren(escaped, ociIndex), 'MALFORMED');
    const many = Array.from({ length: 1001 }, () => ({ mediaType: 'x', digest, size: 1 }));
    throwsCode(() => manifestChildren(bytes({ schemaVersion: 2, manifests: many }), ociIndex), 'TOO_LARGE');
    const sha512 = [{ mediaType: 'x', digest: `sha512:${'b'.repeat(128)}`, size: 1 }];
    throwsCode(
      () => manifestChildren(bytes({ schemaVersion: 2, manifests: sha512 }), ociIndex),
      'UNSUPPORTED_DIGEST',
    );
  });
});
