/** `awskms:`: keys in AWS KMS, through its SDK. Credentials come from where AWS's tools find them; none is stored or asked for here. */
import { createHash, createPublicKey } from 'node:crypto';
import type { KMSClient, SignCommandInput, SigningAlgorithmSpec } from '@aws-sdk/client-kms';
import { publicKeyFromKeyObject, type KeyScheme, type PublicKey } from '@mandate/metadata';
import { parseAwskmsUri, type AwskmsUri } from './awskms-uri.ts';
import type { Backend, KeyUri } from './backend.ts';
import { SigningError, type SigningErrorCode } from './error.ts';
import { digestOf, verifyingSigner, type Signer } from './signer.ts';

const connectionTimeoutMs = 5_000;
const requestTimeoutMs = 20_000;
const maxAttempts = 3;
/** What KMS takes as a message; longer ones go as their digest, where the scheme has one. */
const maxMessageBytes = 4096;

const algorithms = {
  ed25519: 'ED25519_SHA_512',
  'ecdsa-sha2-nistp256': 'ECDSA_SHA_256',
  'ecdsa-sha2-nistp384': 'ECDSA_SHA_384',
  'rsassa-pss-sha256': 'RSASSA_PSS_SHA_256',
  'rsassa-pss-sha384': 'RSASSA_PSS_SHA_384',
  'rsassa-pss-sha512': 'RSASSA_PSS_SHA_512',
} as const satisfies Record<KeyScheme, SigningAlgorithmSpec>;

type Sdk = typeof import('@aws-sdk/client-kms');

export const awskmsBackend: Backend = {
  async open(keyUri: KeyUri): Promise<Signer> {
    const uri = parseAwskmsUri(keyUri);
    const sdk = await loadSdk();
    const client = new sdk.KMSClient({
      ...(uri.region !== undefined && { region: uri.region }),
      ...(uri.endpoint !== undefined && { endpoint: uri.endpoint }),
      maxAttempts,
      requestHandler: {
        connectionTimeout: connectionTimeoutMs,
        requestTimeout: requestTimeoutMs,
        throwOnRequestTimeout: true,
      },
    });
    try {
      const { publicKey, keyArn } = await describe(sdk, client, uri);
      return verifyingSigner({
        uri: uri.text,
        publicKey,
        sign: async (message) => sign(sdk, client, uri, signInput(uri, keyArn, publicKey.scheme, message)),
        close: async () => client.destroy(),
      });
    } catch (error) {
      client.destroy();
      throw error;
    }
  },
};

async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-kms');
  } catch (cause) {
    throw new SigningError(
      'UNSUPPORTED_BACKEND',
      'keys in AWS KMS need the package @aws-sdk/client-kms, which is not installed; npm install @aws-sdk/client-kms@3',
      { cause },
    );
  }
}

async function describe(
  sdk: Sdk,
  client: KMSClient,
  uri: AwskmsUri,
): Promise<{ readonly publicKey: PublicKey; readonly keyArn: string }> {
  const answer = await asked(uri, async () => client.send(new sdk.GetPublicKeyCommand({ KeyId: uri.key })));
  const publicKey = parseSpki(uri, answer.PublicKey);
  if (answer.KeyUsage !== 'SIGN_VERIFY' || !answer.SigningAlgorithms?.includes(algorithms[publicKey.scheme]))
    throw new SigningError('UNSUPPORTED_KEY', `${uri.text} is not a key for signing`);
  // An alias may lead elsewhere tomorrow; this signer stays with the key that it showed.
  return { publicKey, keyArn: answer.KeyId ?? uri.key };
}

function parseSpki(uri: AwskmsUri, der: Uint8Array | undefined): PublicKey {
  try {
    return publicKeyFromKeyObject(
      createPublicKey({ key: Buffer.from(der ?? []), format: 'der', type: 'spki' }),
    );
  } catch (cause) {
    throw new SigningError(
      'UNSUPPORTED_KEY',
      `${uri.text} cannot sign here; use a key of ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_EDWARDS25519 or RSA_2048 to RSA_4096`,
      { cause },
    );
  }
}

function signInput(uri: AwskmsUri, keyArn: string, scheme: KeyScheme, message: Uint8Array): SignCommandInput {
  const input = { KeyId: keyArn, SigningAlgorithm: algorithms[scheme] };
  if (message.length <= maxMessageBytes) return { ...input, Message: message, MessageType: 'RAW' };
  const digest = digestOf(scheme);
  if (digest === null) {
    throw new SigningError(
      'TOO_LARGE',
      `${uri.text} cannot sign ${message.length} bytes: AWS KMS signs at most ${maxMessageBytes} with an Ed25519 key, and Ed25519 in TUF takes no digest; give the role an ECC_NIST_P256 key`,
    );
  }
  return { ...input, Message: createHash(digest).update(message).digest(), MessageType: 'DIGEST' };
}

async function sign(
  sdk: Sdk,
  client: KMSClient,
  uri: AwskmsUri,
  input: SignCommandInput,
): Promise<Uint8Array> {
  const { Signature } = await asked(uri, async () => client.send(new sdk.SignCommand(input)));
  if (Signature === undefined)
    throw new SigningError('SIGNER_FAILED', `${uri.text}: KMS answered without a signature`);
  return Signature;
}

const faults: ReadonlyMap<string, readonly [SigningErrorCode, string]> = new Map([
  ['NotFoundException', ['KEY_NOT_FOUND', 'there is no such key in this account and region']],
  ['AccessDeniedException', ['SIGNER_REFUSED', 'grant kms:GetPublicKey and kms:Sign on this key']],
  ['DisabledException', ['SIGNER_REFUSED', 'the key is disabled; enable it']],
  ['KMSInvalidStateException', ['SIGNER_REFUSED', 'the key is being deleted, or not in use yet']],
  ['InvalidKeyUsageException', ['UNSUPPORTED_KEY', 'the key is not one for signing']],
  ['UnsupportedOperationException', ['UNSUPPORTED_KEY', 'the key is not one for signing']],
  [
    'CredentialsProviderError',
    ['SIGNER_REFUSED', 'no AWS credentials were found; log in, or set AWS_PROFILE'],
  ],
  ['UnrecognizedClientException', ['SIGNER_REFUSED', 'AWS does not accept these credentials']],
  ['InvalidSignatureException', ['SIGNER_REFUSED', 'AWS does not accept these credentials']],
  ['ExpiredTokenException', ['SIGNER_REFUSED', 'the AWS credentials have expired; log in again']],
  ['ThrottlingException', ['SIGNER_UNREACHABLE', 'too many requests; wait and try again']],
  ['TimeoutError', ['SIGNER_TIMEOUT', 'try again']],
]);
const networkCodes = /^(?:ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EPIPE)$/;

async function asked<T>(uri: AwskmsUri, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const { name, code, message } = cause as { name?: unknown; code?: unknown; message?: unknown };
    if (message === 'Region is missing')
      throw new SigningError('MALFORMED', `${uri.text} names no region; add ?region= or set AWS_REGION`, {
        cause,
      });
    const [known, next] =
      faults.get(String(name)) ??
      (networkCodes.test(String(code))
        ? (['SIGNER_UNREACHABLE', 'is the network there, and the region right?'] as const)
        : (['SIGNER_FAILED', 'see what AWS says about it'] as const));
    throw new SigningError(known, `${uri.text}: KMS gave no answer of use (${String(name)}); ${next}`, {
      cause,
    });
  }
}
