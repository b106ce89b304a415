/** `pkcs11:`: keys on smart cards and hardware security modules, through the PKCS #11 library that the URI names. */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { KeyScheme } from '@mandate/metadata';
import type { Backend, BackendContext, KeyUri } from './backend.ts';
import type { Mechanism } from './cryptoki.ts';
import { ecdsaDer } from './ecdsa-signature.ts';
import { SigningError } from './error.ts';
import type { KeyAlgorithm } from './key-file.ts';
import { findPrivateKey, generatePair, publicHalf, type PrivateKeyObject } from './pkcs11-object.ts';
import { logInAs, Token, type PinSource, type Session } from './pkcs11-token.ts';
import { parsePkcs11Uri, withId, type Pkcs11Uri } from './pkcs11-uri.ts';
import { digestOf, verifyingSigner, type Signer } from './signer.ts';

const contextSpecificUser = 2;
const maxPinFileBytes = 1024;

export const pkcs11Backend: Backend = {
  async open(keyUri: KeyUri, context: BackendContext): Promise<Signer> {
    return openOnToken(parsePkcs11Uri(keyUri), context);
  },
  async generate(keyUri: KeyUri, algorithm: KeyAlgorithm, context: BackendContext): Promise<Signer> {
    const given = parsePkcs11Uri(keyUri);
    const id = given.id ?? randomBytes(16);
    const uri = { ...(given.id ? given : withId(given, id)), id };
    const token = new Token(uri, pinSource(uri, context), { write: true });
    try {
      await token.use(async (session) => generatePair(session, uri, algorithm));
      // Opened before the login ends with the last session of `token`: the PIN is asked for once.
      return await openOnToken(uri, context);
    } finally {
      await token.close();
    }
  },
};

async function openOnToken(uri: Pkcs11Uri, context: BackendContext): Promise<Signer> {
  const token = new Token(uri, pinSource(uri, context), { write: false });
  try {
    const [found, publicKey] = await token.use(async (session) => {
      const key = await findPrivateKey(session, uri);
      return [key, await publicHalf(session, key, uri)] as const;
    });
    let key = found;
    return verifyingSigner({
      uri: uri.text,
      publicKey,
      sign: async (message) =>
        token.use(async (session) => {
          if (key.epoch !== session.epoch) key = await findPrivateKey(session, uri);
          return signOnToken(session, key, publicKey.scheme, message);
        }),
      close: async () => token.close(),
    });
  } catch (error) {
    await token.close();
    throw error;
  }
}

/** Digests are made here: not every token hashes, and a message of megabytes need not travel to it. Ed25519 takes the message whole. */
async function signOnToken(
  session: Session,
  key: PrivateKeyObject,
  scheme: KeyScheme,
  message: Uint8Array,
): Promise<Uint8Array> {
  const digest = digestOf(scheme);
  const data = digest === null ? message : createHash(digest).update(message).digest();
  await session.library.signInit(session.handle, mechanismOf(scheme, session), key.handle);
  if (key.alwaysAuthenticate) await logInAs(session, contextSpecificUser, false);
  const signature = await session.library.sign(session.handle, data);
  return scheme.startsWith('ecdsa') ? ecdsaDer(signature) : signature;
}

/** Mechanisms; for RSA-PSS with CK_RSA_PKCS_PSS_PARAMS: digest, mask generation function, length of the salt in bytes. */
const mechanisms = {
  ed25519: { type: 0x1057 },
  'ecdsa-sha2-nistp256': { type: 0x1041 },
  'ecdsa-sha2-nistp384': { type: 0x1041 },
  'rsassa-pss-sha256': { type: 0xd, pss: [0x250, 2, 32] },
  'rsassa-pss-sha384': { type: 0xd, pss: [0x260, 3, 48] },
  'rsassa-pss-sha512': { type: 0xd, pss: [0x270, 4, 64] },
} satisfies Record<KeyScheme, { readonly type: number; readonly pss?: readonly number[] }>;

function mechanismOf(scheme: KeyScheme, { library }: Session): Mechanism {
  const { type, pss }: { type: number; pss?: readonly number[] } = mechanisms[scheme];
  return { type, ...(pss && { parameter: library.encodeUlong(...pss) }) };
}

function pinSource({ pinFile, token, text }: Pkcs11Uri, context: BackendContext): PinSource {
  if (pinFile === undefined)
    return async () => context.passphrase({ purpose: 'pin', subject: token ?? text });
  return async () => {
    let pin;
    try {
      pin = (await readFile(pinFile, 'utf8')).replace(/\r?\n$/, '');
    } catch (cause) {
      throw new SigningError('PASSPHRASE_NEEDED', `cannot read ${pinFile}, the pin-source of ${text}`, {
        cause,
      });
    }
    if (pin !== '' && Buffer.byteLength(pin) <= maxPinFileBytes) return pin;
    throw new SigningError('PASSPHRASE_NEEDED', `${pinFile}, the pin-source of ${text}, holds no PIN`);
  };
}
