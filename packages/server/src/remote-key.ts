/**
 * A key of the service that is held elsewhere. It is opened when it first signs and kept open; after a fault it is let
 * go and opened anew. While it does not sign it is left alone for a while, so that nobody waits for what will not
 * come and no PIN is tried over and over.
 */
import type { KeyId } from '@mandate/metadata';
import { SigningError, type Signer } from '@mandate/signing';
import { ServerError } from './error.ts';
import type { KeyUse } from './key-place.ts';

const shortestPauseMs = 250;
const longestPauseMs = 30_000;
/** What a session that went stale reports; the same again, freshly opened, is another matter. */
const stale: ReadonlySet<string> = new Set(['SIGNER_FAILED', 'SIGNER_UNREACHABLE']);

export interface RemoteKeyOptions {
  readonly use: KeyUse;
  readonly keyId: KeyId;
  /** Of the key that the database names. */
  readonly thumbprint: string;
  /** @throws SigningError */
  readonly open: () => Promise<Signer>;
  /** For one signature, opening included. */
  readonly timeoutMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** It is about to be open. */
  readonly onUse: (key: RemoteKey) => void;
  readonly onFault: (key: RemoteKey, error: SigningError) => void;
}

interface Fault {
  readonly error: ServerError;
  readonly code: string;
  readonly sinceMs: number;
  readonly pauseMs: number;
  readonly untilMs: number;
}

export class RemoteKey {
  readonly #options: RemoteKeyOptions;
  #signer: Promise<Signer> | undefined;
  #fault: Fault | undefined;

  constructor(options: RemoteKeyOptions) {
    this.#options = options;
  }

  get use(): KeyUse {
    return this.#options.use;
  }

  get keyId(): KeyId {
    return this.#options.keyId;
  }

  /** Why it does not sign, since when; undefined while it does. */
  get fault(): { readonly code: string; readonly sinceMs: number } | undefined {
    return this.#fault;
  }

  /** @throws ServerError UNAVAILABLE with the code of the fault as its reason */
  async sign(message: Uint8Array): Promise<Uint8Array> {
    const { now, onFault, onUse } = this.#options;
    if (this.#fault !== undefined && now() < this.#fault.untilMs) throw this.#fault.error;
    onUse(this);
    try {
      const signature = await this.#signInTime(message);
      this.#fault = undefined;
      return signature;
    } catch (cause) {
      const error = asSigningError(cause);
      this.close();
      this.#fault = this.#faultOf(error);
      onFault(this, error);
      throw this.#fault.error;
    }
  }

  /** Lets go of sessions and connections; it opens again when it signs again. */
  close(): void {
    const signer = this.#signer;
    this.#signer = undefined;
    // What is being opened is closed once it is open.
    void signer?.then((opened) => opened.close?.()).catch(() => undefined);
  }

  async #signInTime(message: Uint8Array): Promise<Uint8Array> {
    const { timeoutMs } = this.#options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new SigningError('SIGNER_TIMEOUT', `no signature in ${timeoutMs / 1000} seconds`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.#signOnceMore(message), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #signOnceMore(message: Uint8Array): Promise<Uint8Array> {
    const before = this.#signer;
    try {
      return await this.#signWithOpened(message);
    } catch (error) {
      if (before === undefined || !(error instanceof SigningError && stale.has(error.code))) throw error;
      if (this.#signer === before) this.close();
      return this.#signWithOpened(message);
    }
  }

  async #signWithOpened(message: Uint8Array): Promise<Uint8Array> {
    this.#signer ??= this.#open();
    const signer = await this.#signer;
    return signer.sign(message);
  }

  async #open(): Promise<Signer> {
    const signer = await this.#options.open();
    if (signer.publicKey.thumbprint === this.#options.thumbprint) return signer;
    await signer.close?.();
    throw new SigningError('KEY_MISMATCH', `${signer.uri} holds another key than the one that was given out`);
  }

  #faultOf(cause: SigningError): Fault {
    const { use, now } = this.#options;
    const before = this.#fault;
    const pauseMs = before === undefined ? shortestPauseMs : Math.min(longestPauseMs, before.pauseMs * 2);
    return {
      error: unavailable(use, cause),
      code: cause.code,
      sinceMs: before?.sinceMs ?? now(),
      pauseMs,
      untilMs: now() + pauseMs,
    };
  }
}

export function asSigningError(error: unknown): SigningError {
  if (error instanceof SigningError) return error;
  return new SigningError('SIGNER_FAILED', 'the backend of the key failed', { cause: error });
}

/** Where the key is held stays in the log. */
export function unavailable({ tenant, purpose }: KeyUse, cause: SigningError): ServerError {
  return new ServerError(
    'UNAVAILABLE',
    `the ${purpose} key of tenant ${tenant} does not sign now (${cause.code}); nothing was changed, try again later`,
    { role: purpose, reason: cause.code, cause },
  );
}
