/** Vectors without a repository: canonical forms, JSON that is refused, keys and their thumbprints. */
import { createECDH, createPublicKey } from 'node:crypto';
import { keyIdOf, parsePublicKey, type JsonValue } from '@mandate/metadata';
import { testKey } from '../metadata/test-key.ts';

export interface CanonicalVector {
  readonly description: string;
  readonly json: string;
  /** UTF-8 of the canonical form. */
  readonly base64: string;
}

export interface KeyVector {
  readonly description: string;
  /** Ways to write one key; each has its own key id. */
  readonly keys: readonly { readonly key: JsonValue; readonly keyId: string }[];
  /** RFC 7638, SHA-256, base64url. */
  readonly thumbprint: string;
}

export interface RefusedVector {
  readonly description: string;
  readonly json?: string;
  readonly key?: JsonValue;
  readonly expect: { readonly code: string; readonly reason: string };
}

const canonical = (description: string, json: string, form: string): CanonicalVector => ({
  description,
  json,
  base64: Buffer.from(form).toString('base64'),
});

export const canonicalForms: readonly CanonicalVector[] = [
  canonical('white space goes', ' { "a" : [ 1 , true , null ] } ', '{"a":[1,true,null]}'),
  canonical('members are ordered', '{"b":1,"a":2,"B":3}', '{"B":3,"a":2,"b":1}'),
  canonical('names like integers are ordered as text', '{"9":1,"10":2}', '{"10":2,"9":1}'),
  canonical('the order is that of code points', '{"\\ud83d\\ude00":1,"\\uffee":2}', '{"\uffee":2,"\u{1f600}":1}'),
  canonical('only quotes and backslashes are escaped', '"\\u0022\\\\\\/\\n\\u0000\\u00e9"', '"\\"\\\\/\n\u0000é"'),
  canonical('the empty object and list', '{"a":{},"b":[]}', '{"a":{},"b":[]}'),
  canonical('the largest integers', '[9007199254740991,-9007199254740991,0]', '[9007199254740991,-9007199254740991,0]'),
  canonical('`__proto__` is a name like any other', '{"a":1,"__proto__":{"b":1}}', '{"__proto__":{"b":1},"a":1}'),
];

const wire = (keytype: string, scheme: string, text: string): JsonValue => ({ keytype, keyval: { public: text }, scheme });
const pemOf = (jwk: Record<string, string>): string =>
  createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString();

/** The point of the private key that is the test key's. */
function point(curve: string, bytes: number): { compressed: string; uncompressed: string; x: string; y: string } {
  const ecdh = createECDH(curve);
  const seed = Buffer.from(testKey(curve).keyId, 'hex');
  ecdh.setPrivateKey(Buffer.concat([Buffer.alloc(bytes - 32), seed]));
  const all = ecdh.getPublicKey();
  return {
    compressed: ecdh.getPublicKey('hex', 'compressed'),
    uncompressed: all.toString('hex'),
    x: all.subarray(1, 1 + bytes).toString('base64url'),
    y: all.subarray(1 + bytes).toString('base64url'),
  };
}

/** The key of RFC 7638, section 3.1. */
const rfc7638 = {
  kty: 'RSA',
  e: 'AQAB',
  n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
};
/** The key of RFC 8037, appendix A. */
const rfc8037 = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };

function keyVector(description: string, keys: readonly JsonValue[], thumbprint: string): KeyVector {
  return { description, keys: keys.map((key) => ({ key, keyId: keyIdOf(parsePublicKey(key)) })), thumbprint };
}

export function keys(): KeyVector[] {
  const [p256, p384] = [point('prime256v1', 32), point('secp384r1', 48)];
  const hex = Buffer.from(rfc8037.x, 'base64url').toString('hex');
  const ecdsa = (scheme: string, crv: string, one: ReturnType<typeof point>): KeyVector => {
    const texts = [pemOf({ kty: 'EC', crv, x: one.x, y: one.y }), one.compressed, one.uncompressed];
    const all = texts.flatMap((text) => [wire('ecdsa', scheme, text), wire(scheme, scheme, text)]);
    const [first] = all;
    return keyVector(`${crv}, in PEM, compressed and uncompressed`, all, parsePublicKey(first).thumbprint);
  };
  return [
    keyVector('Ed25519 in hex and PEM: the key of RFC 8037', [wire('ed25519', 'ed25519', hex), wire('ed25519', 'ed25519', hex.toUpperCase()), wire('ed25519', 'ed25519', pemOf(rfc8037))], 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'),
    keyVector('RSA under each scheme: the key of RFC 7638', ['rsassa-pss-sha256', 'rsassa-pss-sha384', 'rsassa-pss-sha512'].map((scheme) => wire('rsa', scheme, pemOf(rfc7638))), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs'),
    ecdsa('ecdsa-sha2-nistp256', 'P-256', p256),
    ecdsa('ecdsa-sha2-nistp384', 'P-384', p384),
  ];
}

const json = (description: string, text: string, reason = 'JSON', code = 'MALFORMED'): RefusedVector => ({ description, json: text, expect: { code, reason } });
const key = (description: string, wireKey: JsonValue): RefusedVector => ({ description, key: wireKey, expect: { code: 'MALFORMED', reason: 'KEY' } });

export const refusedJson: readonly RefusedVector[] = [
  json('a duplicate member', '{"a":1,"a":1}'),
  json('a duplicate member, escaped', '{"a":1,"\\u0061":2}'),
  json('a fraction', '[1.5]'),
  json('a fraction that is an integer', '[1.0]'),
  json('an exponent', '[1e3]'),
  json('negative zero', '[-0]'),
  json('2^53', '[9007199254740992]'),
  json('a lone surrogate', '["\\ud800"]'),
  json('a byte order mark', '\ufeff{}'),
  json('text behind the value', '{} {}'),
  json('65 levels', '['.repeat(65) + ']'.repeat(65), 'DEPTH', 'LIMIT_EXCEEDED'),
];

export function refusedKeys(): RefusedVector[] {
  const [p256, p384] = [point('prime256v1', 32), point('secp384r1', 48)];
  const hex = Buffer.from(rfc8037.x, 'base64url').toString('hex');
  return [
    key('P-384 with SHA-256', wire('ecdsa', 'ecdsa-sha2-nistp256', p384.uncompressed)),
    key('P-256 with SHA-384', wire('ecdsa', 'ecdsa-sha2-nistp384', p256.uncompressed)),
    key('a point that is not on the curve', wire('ecdsa', 'ecdsa-sha2-nistp256', `04${'11'.repeat(64)}`)),
    key('an Ed25519 point of order 1', wire('ed25519', 'ed25519', `01${'00'.repeat(31)}`)),
    key('an Ed25519 point of order 8', wire('ed25519', 'ed25519', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')),
    key('an Ed25519 coordinate that is not reduced', wire('ed25519', 'ed25519', `ee${'ff'.repeat(30)}7f`)),
    key('an Ed25519 key of 31 bytes', wire('ed25519', 'ed25519', hex.slice(2))),
    key('RSA with the exponent 3', wire('rsa', 'rsassa-pss-sha256', pemOf({ ...rfc7638, e: 'Aw' }))),
    key('RSA with PKCS#1 v1.5', wire('rsa', 'rsa-pkcs1v15-sha256', pemOf(rfc7638))),
    key('key type and scheme of two kinds', wire('rsa', 'ed25519', hex)),
    key('an unknown scheme', wire('ed25519', 'ed25519ph', hex)),
  ];
}
