import assert from 'node:assert/strict';
import {
  constants,
  createHash,
  createPublicKey,
  ECDH,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import {
  canonicalBytes,
  keyIdOf,
  parsePublicKey,
  publicKeyFromKeyObject,
  type JsonValue,
} from '@mandate/metadata';
import { refuses } from './refusal.ts';
import { testKey } from './test-key.ts';

const wireKey = (keytype: string, scheme: string, text: JsonValue): JsonValue => ({
  keytype,
  keyval: { public: text },
  scheme,
});
const pem = (key: KeyObject): string => key.export({ format: 'pem', type: 'spki' }).toString();
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const rsa = (modulusLength: number, publicExponent = 65_537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent });

function point(key: KeyObject, curve: string, form: 'compressed' | 'uncompressed' | 'hybrid'): string {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  const bytes = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return ECDH.convertKey(bytes, curve, undefined, 'hex', form) as string;
}

/** RFC 7638 by the letter. */
function thumbprint(key: KeyObject, members: readonly string[]): string {
  const jwk = key.export({ format: 'jwk' }) as Record<string, string>;
  const text = `{${members.map((name) => `"${name}":"${jwk[name]}"`).join(',')}}`;
  return createHash('sha256').update(text).digest('base64url');
}

const p256 = ec('prime256v1');
const p384 = ec('secp384r1');
const rsa2048 = rsa(2_048);
const ed = testKey('key').privateKey;
const edHex = Buffer.from(createPublicKey(ed).export({ format: 'jwk' }).x ?? '', 'base64url').toString('hex');
const message = Buffer.from('what is signed');

describe('metadata: public keys', () => {
  describe('have one thumbprint (RFC 7638) however they are written', () => {
    it('Ed25519: hex in either case, and PEM', () => {
      const expected = thumbprint(createPublicKey(ed), ['crv', 'kty', 'x']);
      for (const text of [edHex, edHex.toUpperCase(), pem(createPublicKey(ed))]) {
        assert.equal(parsePublicKey(wireKey('ed25519', 'ed25519', text)).thumbprint, expected);
      }
    });
    for (const [name, keys, scheme] of [
      ['prime256v1', p256, 'ecdsa-sha2-nistp256'],
      ['secp384r1', p384, 'ecdsa-sha2-nistp384'],
    ] as const) {
      it(`${scheme}: compressed, uncompressed, PEM, and either key type`, () => {
        const expected = thumbprint(keys.publicKey, ['crv', 'kty', 'x', 'y']);
        const compressed = point(keys.publicKey, name, 'compressed');
        const uncompressed = point(keys.publicKey, name, 'uncompressed');
        const texts = [pem(keys.publicKey), compressed, uncompressed, compressed.toUpperCase()];
        for (const text of texts) {
          for (const keytype of ['ecdsa', scheme]) {
            const key = parsePublicKey(wireKey(keytype, scheme, text));
            assert.equal(key.thumbprint, expected);
            assert.equal(
              key.verify(
                message,
                sign(scheme.endsWith('256') ? 'sha256' : 'sha384', message, keys.privateKey),
              ),
              true,
            );
          }
        }
        const spellings = texts.map((text) => keyIdOf(parsePublicKey(wireKey('ecdsa', scheme, text))));
        assert.equal(new Set(spellings).size, 4);
      });
    }
    it('RSA: PEM with other line ends, and any of its schemes', () => {
      const expected = thumbprint(rsa2048.publicKey, ['e', 'kty', 'n']);
      const text = pem(rsa2048.publicKey);
      for (const spelling of [text, text.replaceAll('\n', '\r\n'), text.trimEnd()]) {
        for (const scheme of ['rsassa-pss-sha256', 'rsassa-pss-sha384', 'rsassa-pss-sha512']) {
          assert.equal(parsePublicKey(wireKey('rsa', scheme, spelling)).thumbprint, expected);
        }
      }
    });
  });

  it('has the hash of its canonical form as key id', () => {
    const key = testKey('key').publicKey;
    const expected = createHash('sha256').update(canonicalBytes(key.wire)).digest('hex');
    assert.equal(keyIdOf(key), expected);
    assert.equal(keyIdOf(parsePublicKey({ ...key.wire, 'x-own': 1 })), expected);
  });

  describe('verify', () => {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    for (const [scheme, digest] of [
      ['rsassa-pss-sha256', 'sha256'],
      ['rsassa-pss-sha384', 'sha384'],
      ['rsassa-pss-sha512', 'sha512'],
    ] as const) {
      it(`${scheme} with its own digest and padding only`, () => {
        const key = parsePublicKey(wireKey('rsa', scheme, pem(rsa2048.publicKey)));
        const signed = (hash: string, options: object) =>
          sign(hash, message, { key: rsa2048.privateKey, ...options });
        for (const saltLength of [0, 20, 32])
          assert.equal(key.verify(message, signed(digest, { padding, saltLength })), true);
        assert.equal(key.verify(message, signed(digest, { padding: constants.RSA_PKCS1_PADDING })), false);
        assert.equal(key.verify(message, signed('sha1', { padding, saltLength: 20 })), false);
      });
    }
    it('P-384 only with SHA-384', () => {
      const key = publicKeyFromKeyObject(p384.privateKey);
      assert.equal(key.verify(message, sign('sha384', message, p384.privateKey)), true);
      assert.equal(key.verify(message, sign('sha256', message, p384.privateKey)), false);
    });
    it('false for garbage of any length and for other messages, and never throws', () => {
      const keys = [testKey('key').privateKey, p256.privateKey, p384.privateKey, rsa2048.privateKey].map(
        publicKeyFromKeyObject,
      );
      for (const key of keys) {
        for (const length of [0, 1, 63, 64, 65, 72, 256, 10_000]) {
          assert.equal(key.verify(message, Buffer.alloc(length)), false);
          assert.equal(key.verify(message, Buffer.alloc(length, 0xff)), false);
        }
      }
      const signature = testKey('key').sign(message);
      assert.equal(testKey('key').publicKey.verify(message, signature), true);
      assert.equal(testKey('key').publicKey.verify(Buffer.from('other'), signature), false);
      assert.equal(testKey('other').publicKey.verify(message, signature), false);
    });
  });

  describe('are refused at parse', () => {
    const elsewhere = generateKeyPairSync('ed448').publicKey;
    const k1 = ec('secp256k1').publicKey;
    const notOnCurve = `04${'11'.repeat(64)}`;
    const refusedKeys: readonly (readonly [string, JsonValue])[] = [
      ['P-384 with SHA-256', wireKey('ecdsa', 'ecdsa-sha2-nistp256', pem(p384.publicKey))],
      ['P-256 with SHA-384', wireKey('ecdsa', 'ecdsa-sha2-nistp384', pem(p256.publicKey))],
      ['secp256k1', wireKey('ecdsa', 'ecdsa-sha2-nistp256', pem(k1))],
      [
        'a P-384 point as P-256',
        wireKey('ecdsa', 'ecdsa-sha2-nistp256', point(p384.publicKey, 'secp384r1', 'compressed')),
      ],
      ['a point that is not on its curve', wireKey('ecdsa', 'ecdsa-sha2-nistp256', notOnCurve)],
      ['the point at infinity', wireKey('ecdsa', 'ecdsa-sha2-nistp256', '00')],
      [
        'a hybrid point in hex',
        wireKey('ecdsa', 'ecdsa-sha2-nistp256', point(p256.publicKey, 'prime256v1', 'hybrid')),
      ],
      ['an ECDSA key as Ed25519', wireKey('ed25519', 'ed25519', pem(p256.publicKey))],
      ['an Ed25519 key as ECDSA', wireKey('ecdsa', 'ecdsa-sha2-nistp256', pem(createPublicKey(ed)))],
      ['an Ed448 key', wireKey('ed25519', 'ed25519', pem(elsewhere))],
      ['an Ed25519 key of 31 bytes', wireKey('ed25519', 'ed25519', edHex.slice(2))],
      ['an Ed25519 key of 33 bytes', wireKey('ed25519', 'ed25519', `${edHex}00`)],
      ['an Ed25519 key that is not hex', wireKey('ed25519', 'ed25519', `${edHex.slice(1)}g`)],
      ['an empty key', wireKey('ed25519', 'ed25519', '')],
      ['key type and scheme of two kinds', wireKey('rsa', 'ed25519', edHex)],
      [
        'a P-256 key type with the P-384 scheme',
        wireKey('ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', pem(p384.publicKey)),
      ],
      ['an RSA key of 1,024 bits', wireKey('rsa', 'rsassa-pss-sha256', pem(rsa(1_024).publicKey))],
      ['an RSA exponent of 3', wireKey('rsa', 'rsassa-pss-sha256', pem(rsa(2_048, 3).publicKey))],
      ['RSA in hex', wireKey('rsa', 'rsassa-pss-sha256', '00'.repeat(256))],
      [
        'a key for RSASSA-PSS alone',
        wireKey(
          'rsa',
          'rsassa-pss-sha256',
          pem(generateKeyPairSync('rsa-pss', { modulusLength: 2_048 }).publicKey),
        ),
      ],
      ['PKCS#1 v1.5', wireKey('rsa', 'rsa-pkcs1v15-sha256', pem(rsa2048.publicKey))],
      ['an unknown scheme', wireKey('ed25519', 'ed25519ph', edHex)],
      ['a scheme that every object has', wireKey('ed25519', 'constructor', edHex)],
      [
        'a PEM of a private key',
        wireKey('ed25519', 'ed25519', ed.export({ format: 'pem', type: 'pkcs8' }).toString()),
      ],
      ['a PEM that is cut short', wireKey('ecdsa', 'ecdsa-sha2-nistp256', pem(p256.publicKey).slice(0, 80))],
    ];
    for (const [what, wire] of refusedKeys) {
      it(what, () => refuses('MALFORMED/KEY', () => parsePublicKey(wire)));
    }

    for (const [what, exponent] of [
      ['1', 1n],
      ['an even number', 65_538n],
      ['more than 256 bits', (1n << 300n) + 1n],
    ] as const) {
      it(`an RSA exponent of ${what}`, () => {
        const { n = '' } = rsa2048.publicKey.export({ format: 'jwk' });
        const hex = exponent.toString(16);
        const e = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
        const text = pem(createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }));
        refuses('MALFORMED/KEY', () => parsePublicKey(wireKey('rsa', 'rsassa-pss-sha256', text)));
      });
    }

    const p = (1n << 255n) - 19n;
    const order8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n;
    const encoded = (y: bigint, sign: 0 | 1): string =>
      Buffer.from((y | (BigInt(sign) << 255n)).toString(16).padStart(64, '0'), 'hex')
        .reverse()
        .toString('hex');
    for (const [what, y] of [
      ['the neutral point', 1n],
      ['a point of order 2', p - 1n],
      ['a point of order 4', 0n],
      ['a point of order 8', order8],
      ['another point of order 8', p - order8],
      ['the neutral point, not reduced', p + 1n],
      ['a point of order 4, not reduced', p],
      ['a coordinate that is not reduced', p + 18n],
    ] as const) {
      for (const sign of [0, 1] as const) {
        it(`Ed25519: ${what}, sign ${sign}, under which anybody can sign`, () => {
          const hex = encoded(y, sign);
          refuses('MALFORMED/KEY', () => parsePublicKey(wireKey('ed25519', 'ed25519', hex)));
          refuses('MALFORMED/KEY', () => parsePublicKey(wireKey('ed25519', 'ed25519', hex.toUpperCase())));
          const der = Buffer.from(`302a300506032b6570032100${hex}`, 'hex').toString('base64');
          const text = `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`;
          refuses('MALFORMED/KEY', () => parsePublicKey(wireKey('ed25519', 'ed25519', text)));
        });
      }
    }

    for (const wire of [
      null,
      [],
      'ed25519',
      {},
      { keytype: 'ed25519', scheme: 'ed25519' },
      wireKey('ed25519', 'ed25519', 7),
      { keytype: 'ed25519', scheme: 'ed25519', keyval: [] },
    ]) {
      it(`what is no key object: ${JSON.stringify(wire)}`, () =>
        refuses('MALFORMED/SHAPE', () => parsePublicKey(wire)));
    }
  });

  it('are written from a key object as hex or PEM, and read back', () => {
    for (const { privateKey } of [p256, p384, rsa2048, { privateKey: ed }]) {
      const key = publicKeyFromKeyObject(privateKey);
      assert.equal(parsePublicKey(key.wire).thumbprint, key.thumbprint);
      assert.equal(publicKeyFromKeyObject(createPublicKey(privateKey)).thumbprint, key.thumbprint);
    }
    assert.equal((publicKeyFromKeyObject(ed).wire['keyval'] as { public: string }).public, edHex);
    for (const { publicKey } of [
      ec('secp256k1'),
      ec('secp521r1'),
      generateKeyPairSync('x25519'),
      rsa(1_024),
    ]) {
      refuses('MALFORMED/KEY', () => publicKeyFromKeyObject(publicKey));
    }
  });
});
