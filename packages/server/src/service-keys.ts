/** The keys that the service holds: made, opened and kept here, wherever they are. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { keyIdOf, parsePublicKey, type JsonValue, type KeyId } from '@mandate/metadata';
import {
  generateKeyAt,
  openSigner,
  sealKey,
  signerFromKeyObject,
  SigningError,
  unsealKey,
  type KeyAlgorithm,
  type OpenOptions,
  type SealContext,
  type SealingKeys,
  type Signer,
} from '@mandate/signing';
import { LRUCache } from 'lru-cache';
import { isAllowed, uriAt, type KeyPlaces, type KeyUse } from './key-place.ts';
import { asSigningError, RemoteKey, unavailable } from './remote-key.ts';
import type { ServiceKeyRow } from './sql/online-key.ts';

/** A key that signs, now or when it is opened. */
export interface ServiceSigner {
  readonly keyId: KeyId;
  /** @throws ServerError UNAVAILABLE where the place that holds the key does not sign now */
  sign(message: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** Where a new key is, and what it is. */
export interface MadeKey {
  readonly number: number;
  readonly keyId: string;
  readonly wire: Record<string, unknown>;
  readonly thumbprint: string;
  readonly sealed: Buffer | null;
  readonly uri: string | null;
}

export interface FailingKey extends KeyUse {
  readonly code: string;
  readonly sinceMs: number;
}

export interface ServiceKeysOptions {
  readonly sealing: SealingKeys;
  readonly places: KeyPlaces;
  /** Of keys that are made elsewhere; sealed ones are Ed25519. */
  readonly algorithm: KeyAlgorithm;
  readonly open: OpenOptions;
  /** For one signature, opening included. */
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly onFault: (use: KeyUse, error: SigningError) => void;
}

/** Sessions and connections of so many keys stay open. */
const maxOpen = 1_000;
/** Not JSON, so that what a key signs here can never pass for metadata. */
const testPrefix = 'mandate: does this key sign?\n';
/** Above it a signature takes long enough to be worth another thread; below, handing it over costs more than it. */
const otherThreadBytes = 65_536;
const signOnOtherThread = promisify(sign);

function sealedSigner(privateKey: KeyObject, keyId: KeyId): ServiceSigner {
  return {
    keyId,
    sign: (message) =>
      message.length < otherThreadBytes
        ? sign(null, message, privateKey)
        : signOnOtherThread(null, message, privateKey),
  };
}

export class ServiceKeys {
  readonly #options: ServiceKeysOptions;
  readonly #remote = new Map<string, RemoteKey>();
  readonly #open = new LRUCache<string, RemoteKey>({ max: maxOpen, dispose: (key) => key.close() });

  constructor(options: ServiceKeysOptions) {
    this.#options = options;
  }

  /**
   * A new key in the current place: made there where that can be done from here, else the one that was put there.
   *
   * @throws ServerError UNAVAILABLE where the place does not answer, holds no such key, or one that cannot serve
   */
  async make(use: KeyUse): Promise<MadeKey> {
    const { places, sealing } = this.#options;
    const [place] = places;
    const uri = uriAt(place, use);
    if (uri === undefined) {
      const { privateKey } = generateKeyPairSync('ed25519');
      const signer = signerFromKeyObject(privateKey, `service:${use.tenant}/${use.purpose}`);
      const sealed = sealKey(privateKey, sealing.current, sealContext(use));
      return { ...publicHalf(signer), number: use.number, sealed: Buffer.from(sealed), uri: null };
    }
    try {
      const signer = await this.#take(uri, use);
      try {
        await proveItSigns(signer);
        return { ...publicHalf(signer), number: use.number, sealed: null, uri };
      } finally {
        await signer.close?.();
      }
    } catch (error) {
      const cause = asSigningError(error);
      this.#options.onFault(use, cause);
      throw unavailable(use, cause);
    }
  }

  /** Whether a key of this use is where a new one would be. */
  isCurrent(use: KeyUse, uri: string | null): boolean {
    return (uriAt(this.#options.places[0], use) ?? null) === uri;
  }

  /** @throws SigningError where a sealed key does not open; keys held elsewhere are opened when they sign. */
  signer(tenant: string, row: ServiceKeyRow): ServiceSigner {
    const role = row.purpose === 'managed' ? row.role : undefined;
    const use: KeyUse = { tenant, purpose: row.purpose, number: row.number, role };
    const keyId = row.keyId as KeyId;
    if (row.sealed !== null)
      return sealedSigner(unsealKey(row.sealed, this.#options.sealing, sealContext(use)), keyId);
    const name = `${tenant} ${keyId}`;
    const known = this.#remote.get(name);
    if (known !== undefined) return known;
    const key = this.#remoteKey(name, use, row);
    this.#remote.set(name, key);
    return key;
  }

  /** Keys that did not sign when they were last asked to. */
  get failing(): FailingKey[] {
    return [...this.#remote.values()].flatMap(({ use, fault }) =>
      fault === undefined ? [] : [{ ...use, code: fault.code, sinceMs: fault.sinceMs }],
    );
  }

  close(): void {
    this.#open.clear();
  }

  #remoteKey(name: string, use: KeyUse, { keyId, wire, uri }: ServiceKeyRow): RemoteKey {
    const { places, open, timeoutMs, now, onFault } = this.#options;
    return new RemoteKey({
      use,
      keyId: keyId as KeyId,
      thumbprint: parsePublicKey(wire as JsonValue).thumbprint,
      open: () => {
        if (uri !== null && isAllowed(places, uri, use)) return openSigner(uri, open);
        const what =
          'the place that the database names for this key is not among those in MANDATE_ONLINE_KEYS';
        return Promise.reject(new SigningError('UNSUPPORTED_BACKEND', what));
      },
      timeoutMs,
      now,
      onUse: (key) => this.#open.set(name, key),
      onFault: (key, error) => onFault(key.use, error),
    });
  }

  /** Opened first: a process that ended between making a key and noting it leaves one behind. */
  async #take(uri: string, use: KeyUse): Promise<Signer> {
    const { open, algorithm, timeoutMs } = this.#options;
    const opened = (async () => {
      const signer = await openSigner(uri, open).catch((error: unknown) => {
        if (error instanceof SigningError && error.code === 'KEY_NOT_FOUND') return error;
        throw error;
      });
      if (!(signer instanceof SigningError)) return signer;
      return generateKeyAt(uri, algorithm, open).catch((error: unknown) => {
        // Nothing can be made there from here: what is missing is the key.
        throw error instanceof SigningError && error.code === 'UNSUPPORTED_BACKEND' ? signer : error;
      });
    })();
    const signer = await inTime(opened, timeoutMs);
    // KMS signs up to 4,096 bytes with Ed25519; a snapshot outgrows that, and so does what a role lists.
    if (!uri.startsWith('awskms:') || signer.publicKey.scheme !== 'ed25519' || use.purpose === 'timestamp')
      return signer;
    await signer.close?.();
    throw new SigningError(
      'UNSUPPORTED_KEY',
      `${uri}: an Ed25519 key in AWS KMS signs 4,096 bytes at most; use ECC_NIST_P256`,
    );
  }
}

/** What a key is sealed for: in another row it does not open. */
export function sealContext({ tenant, purpose, role }: Omit<KeyUse, 'number'>): SealContext {
  return { tenant, role: role === undefined ? purpose : `${purpose}/${role}` };
}

function publicHalf({ publicKey }: Signer): Pick<MadeKey, 'keyId' | 'wire' | 'thumbprint'> {
  return { keyId: keyIdOf(publicKey), wire: publicKey.wire, thumbprint: publicKey.thumbprint };
}

async function proveItSigns(signer: Signer): Promise<void> {
  const test = Buffer.from(testPrefix + randomBytes(16).toString('hex'));
  if (!signer.publicKey.verify(test, await signer.sign(test)))
    throw new SigningError('BAD_SIGNATURE', `${signer.uri} signs with another key than it shows`);
}

async function inTime(opening: Promise<Signer>, timeoutMs: number): Promise<Signer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      void opening.then((signer) => signer.close?.()).catch(() => undefined);
      reject(new SigningError('SIGNER_TIMEOUT', `no answer in ${timeoutMs / 1000} seconds`));
    }, timeoutMs);
  });
  return Promise.race([opening, late]).finally(() => clearTimeout(timer));
}
