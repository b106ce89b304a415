#!/usr/bin/env node
// A signer program for `exec:` keys: the protocol of docs/signers.md over PEM files that are named as arguments.
// To put a device or a cloud behind it, replace `keys` and the last line of `sign`.
import { constants, createHash, createPrivateKey, createPublicKey, sign as signWith } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

/** The public half as TUF metadata writes it. */
function wireOf(privateKey) {
  const publicKey = createPublicKey(privateKey);
  const pem = publicKey.export({ format: 'pem', type: 'spki' });
  switch (publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType) {
    case 'ed25519': {
      const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url');
      return { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw.toString('hex') } };
    }
    case 'prime256v1':
      return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } };
    case 'secp384r1':
      return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp384', keyval: { public: pem } };
    default:
      return { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: pem } };
  }
}

/** SHA-256 of the canonical key: members in order of their names, no white space, and in strings only \ and " escaped. */
function keyIdOf({ keytype, keyval, scheme }) {
  const canonical = `{"keytype":"${keytype}","keyval":{"public":"${keyval.public}"},"scheme":"${scheme}"}`;
  return createHash('sha256').update(canonical).digest('hex');
}

function sign({ privateKey, wire }, message) {
  const digests = {
    'ecdsa-sha2-nistp256': 'sha256',
    'ecdsa-sha2-nistp384': 'sha384',
    'rsassa-pss-sha256': 'sha256',
  };
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return signWith(digests[wire.scheme] ?? null, message, {
    key: privateKey,
    ...(wire.keytype === 'rsa' && pss),
  });
}

function answer(request, keys) {
  if (request.mandateSigner !== 1)
    return { error: { code: 'FAILED', message: 'this signer speaks version 1' } };
  if (request.operation === 'describe') return { keys: keys.map(({ wire }) => wire) };
  if (request.operation !== 'sign') return { error: { code: 'FAILED', message: 'no such operation' } };
  const key = keys.find(({ wire }) => keyIdOf(wire) === request.keyid);
  if (!key) return { error: { code: 'KEY_NOT_FOUND', message: 'no such key here' } };
  return { signature: sign(key, Buffer.from(request.message, 'base64')).toString('base64') };
}

const keys = process.argv.slice(2).map((path) => {
  const privateKey = createPrivateKey(readFileSync(path));
  return { privateKey, wire: wireOf(privateKey) };
});
const request = JSON.parse(await text(process.stdin));
process.stdout.write(`${JSON.stringify({ mandateSigner: 1, ...answer(request, keys) })}\n`);
