/**
 * A token that is logged in to, with a few sessions that are used in turn. A session does one thing at a time; the login is the whole
 * process's and ends with its last session. After a device went away and came back, the next use opens and logs in anew.
 */
import { CryptokiError, type Ulong } from './cryptoki-functions.ts';
import { loadCryptoki, type Cryptoki, type TokenInfo } from './cryptoki.ts';
import { SigningError } from './error.ts';
import { explain } from './pkcs11-fault.ts';
import type { Pkcs11Uri } from './pkcs11-uri.ts';

export interface Session {
  readonly library: Cryptoki;
  readonly handle: Ulong;
  /** Object handles that were found in another epoch are void. */
  readonly epoch: number;
  readonly pin: PinSource;
}

/** Asked for each login, and for each signature by a key that wants it. */
export type PinSource = () => Promise<string>;

const maxSessions = 2;
const timeoutMs = 60_000;
const tokenInitialized = 0x400;
const loginRequired = 0x4;
const protectedAuthenticationPath = 0x100;
const finalTryOrLocked = 0x20000 | 0x40000;
const normalUser = 1;
const userAlreadyLoggedIn = 0x100;
/** CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS */
const userStates = new Set([1, 3]);

/** One library in this process is started once, and stopped when its last token is closed. */
const libraries = new Map<string, { readonly library: Promise<Cryptoki>; users: number }>();
/** A library that is being stopped must not be started meanwhile. */
let stopping: Promise<void> = Promise.resolve();
/** One login at a time, so that a wrong PIN is not tried by several at once. */
let logins: Promise<unknown> = Promise.resolve();

export class Token {
  readonly #uri: Pkcs11Uri;
  readonly #pin: PinSource;
  readonly #write: boolean;
  readonly #idle: Session[] = [];
  readonly #waiting: (() => void)[] = [];
  #leased = 0;
  #epoch = 0;
  #closed = false;
  #library: Promise<Cryptoki> | undefined;

  /** Nothing is touched before the first use. */
  constructor(uri: Pkcs11Uri, pin: PinSource, options: { readonly write: boolean }) {
    this.#uri = uri;
    this.#pin = pin;
    this.#write = options.write;
  }

  /**
   * Runs `work` with a session of its own.
   *
   * @throws SigningError `SIGNER_TIMEOUT` after a minute. The call into the library cannot be stopped; its session stays taken until it returns.
   */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    let expired = false;
    const running = this.#run(work, () => expired);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        expired = true;
        const next = 'look at the device: it may wait to be touched';
        reject(
          new SigningError(
            'SIGNER_TIMEOUT',
            `${this.#uri.text} gave no answer in ${timeoutMs / 1000} seconds; ${next}`,
          ),
        );
      }, timeoutMs);
    });
    try {
      return await Promise.race([running, late]);
    } catch (error) {
      throw explain(error, this.#uri.text);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sessions in use are closed when they come back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#dropIdle();
    if (this.#leased === 0) await this.#release();
  }

  async #run<T>(work: (session: Session) => Promise<T>, expired: () => boolean): Promise<T> {
    while (this.#leased >= maxSessions) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#closed || expired()) {
      this.#waiting.shift()?.();
      throw new SigningError('SIGNER_FAILED', `${this.#uri.text} was closed`);
    }
    this.#leased += 1;
    let session: Session | undefined;
    let usable = false;
    try {
      session = this.#idle.pop() ?? (await this.#openSession());
      const result = await work(session);
      usable = true;
      return result;
    } finally {
      // What failed may have left its session in the middle of something, or have been the device itself.
      await this.#giveBack(session, usable);
    }
  }

  async #giveBack(session: Session | undefined, usable: boolean): Promise<void> {
    if (!usable) {
      this.#epoch += 1;
      await this.#dropIdle();
    }
    if (session && usable && !this.#closed && session.epoch === this.#epoch) this.#idle.push(session);
    else if (session) await closeQuietly(session);
    this.#leased -= 1;
    this.#waiting.shift()?.();
    if (this.#closed && this.#leased === 0) await this.#release();
  }

  async #openSession(): Promise<Session> {
    this.#library ??= startLibrary(this.#uri.modulePath);
    const library = await this.#library.catch((error: unknown) => {
      this.#library = undefined;
      throw error;
    });
    const [slot, info] = await findSlot(library, this.#uri);
    const handle = await library.openSession(slot, { write: this.#write });
    const session = { library, handle, epoch: this.#epoch, pin: this.#pin };
    const login = logins.then(async () => logIn(session, info, this.#uri, slot));
    logins = login.catch(() => {});
    try {
      await login;
      return session;
    } catch (error) {
      await closeQuietly(session);
      throw error;
    }
  }

  async #dropIdle(): Promise<void> {
    for (const session of this.#idle.splice(0)) await closeQuietly(session);
  }

  async #release(): Promise<void> {
    if (this.#library === undefined) return;
    this.#library = undefined;
    await stopLibrary(this.#uri.modulePath);
  }
}

async function startLibrary(path: string): Promise<Cryptoki> {
  const entry = libraries.get(path) ?? { library: stopping.then(async () => loadCryptoki(path)), users: 0 };
  libraries.set(path, entry);
  entry.users += 1;
  try {
    return await entry.library;
  } catch (error) {
    libraries.delete(path);
    throw error;
  }
}

async function stopLibrary(path: string): Promise<void> {
  const entry = libraries.get(path);
  if (entry === undefined) return;
  entry.users -= 1;
  if (entry.users > 0) return;
  libraries.delete(path);
  const library = await entry.library;
  stopping = stopping.then(async () => library.finalize()).catch(() => {});
  await stopping;
}

async function findSlot(library: Cryptoki, uri: Pkcs11Uri): Promise<readonly [Ulong, TokenInfo]> {
  const matching: [Ulong, TokenInfo][] = [];
  for (const slot of await library.slots()) {
    const info = await library.tokenInfo(slot);
    if ((info.flags & tokenInitialized) === 0) continue;
    if (uri.token !== undefined && uri.token !== info.label) continue;
    if (uri.serial !== undefined && uri.serial !== info.serial) continue;
    matching.push([slot, info]);
  }
  const [first] = matching;
  if (first === undefined)
    throw new SigningError('SIGNER_UNREACHABLE', `${uri.text}: there is no such token; is it plugged in?`);
  if (matching.length > 1)
    throw new SigningError(
      'KEY_AMBIGUOUS',
      `${uri.text}: several tokens are so named; add token= or serial=`,
    );
  return first;
}

async function logIn(session: Session, info: TokenInfo, uri: Pkcs11Uri, slot: Ulong): Promise<void> {
  const { library, handle } = session;
  if ((info.flags & loginRequired) === 0 || userStates.has(await library.sessionState(handle))) return;
  // Asked again: the login before ours may have used up a try.
  if (((await library.tokenInfo(slot)).flags & finalTryOrLocked) !== 0) {
    throw new SigningError(
      'SIGNER_REFUSED',
      `${uri.text}: the PIN is locked or has one try left, which is not used here; log in once with the program of its maker`,
    );
  }
  const onItsPad = (info.flags & protectedAuthenticationPath) !== 0;
  await logInAs(session, normalUser, onItsPad);
}

/** @throws CryptokiError; SigningError from the PIN's source */
export async function logInAs(
  { library, handle, pin }: Session,
  user: number,
  onItsPad: boolean,
): Promise<void> {
  const bytes = onItsPad ? undefined : Buffer.from(await pin());
  try {
    await library.login(handle, user, bytes);
  } catch (error) {
    // Another session of this process logged in meanwhile.
    if (!(error instanceof CryptokiError) || error.value !== userAlreadyLoggedIn) throw error;
  } finally {
    bytes?.fill(0);
  }
}

async function closeQuietly({ library, handle }: Session): Promise<void> {
  await library.closeSession(handle).catch(() => {});
}
