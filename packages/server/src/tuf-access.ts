/**
 * Who may read which TUF file. Public tenants are anyone's; a private one, and the detached anchor of a private child, takes
 * a grant. Decided by the caller's grants before any lookup; without one, what is asked is whether there is a public
 * tenant of this name, which a private one is not: so nothing differs from a name that nobody has, time included.
 */
import type { IncomingMessage } from 'node:http';
import type { Authenticator } from './authenticator.ts';
import { mayRead, type Caller } from './caller.ts';
import type { RequestLimits } from './request-limit.ts';
import type { LiveTenant, TufStore } from './tuf-store.ts';

/** `anchor~<segment>.json`: a targets file that is in no snapshot. Of one with a version nothing is told either. */
const anchorForm = /^(?:([0-9]{1,16})\.)?anchor~(.*)\.json$/;

/** The child whose detached anchor is served under this name in `metadata/`. */
export function detachedSegmentOf(name: string): string | undefined {
  const [, version, segment] = anchorForm.exec(name) ?? [];
  return version === undefined ? segment : undefined;
}

export interface Opened {
  /** Undefined where there is no such tenant, and where it is not the caller's. */
  readonly live: LiveTenant | undefined;
  /** The answer is for this reader, and no cache keeps it. */
  readonly forOneReader: boolean;
  /** It was counted as a request of its principal, whatever comes of it. */
  readonly isCounted: boolean;
}

/** The child whose detached anchor a path asks for; undefined for every other path. */
function anchoredChild(slug: string, path: string): string | undefined {
  const folder = 'metadata/';
  const segment = path.startsWith(folder) ? anchorForm.exec(path.slice(folder.length))?.[2] : undefined;
  if (segment === undefined) return undefined;
  return slug === '~' ? segment : `${slug}~${segment}`;
}

function ofAnyone(live: LiveTenant | undefined): Opened {
  return { live, forOneReader: false, isCounted: false };
}

export class TufAccess {
  readonly #store: TufStore;
  readonly #authenticator: Authenticator;
  readonly #limits: RequestLimits;

  constructor(store: TufStore, authenticator: Authenticator, limits: RequestLimits) {
    this.#store = store;
    this.#authenticator = authenticator;
    this.#limits = limits;
  }

  /**
   * A detached anchor is asked for by everybody with a token who comes to a name that may have one, and mostly is not there:
   * what says so to a good token is a request of its principal, and no refusal. Whether it is there is only looked at for
   * who has the grant, so that nothing can be guessed with these.
   *
   * @throws ServerError UNAUTHENTICATED for a token that is not good, unless anyone may read the file; RATE_LIMITED
   */
  async open(request: IncomingMessage, slug: string, path: string): Promise<Opened> {
    const child = anchoredChild(slug, path);
    if (child === undefined) {
      const known = this.#store.liveNow(slug);
      if (known !== undefined) return ofAnyone(known);
    }
    const { known, refusal } = await this.#caller(request);
    const isAnchor = child !== undefined;
    if (known !== undefined && mayRead(known, { slug: child ?? slug })) {
      await this.#limits.admitCaller(known);
      const live = await this.#store.liveGranted(slug);
      return { live, forOneReader: isAnchor || live?.isPrivate === true, isCounted: isAnchor };
    }
    if (known !== undefined && isAnchor) {
      await this.#limits.admitCaller(known);
      return { live: undefined, forOneReader: true, isCounted: true };
    }
    const live = isAnchor ? undefined : await this.#store.live(slug);
    if (live === undefined && refusal !== undefined) {
      await this.refused(request);
      throw refusal;
    }
    return ofAnyone(live);
  }

  /** Counts an answer that gave nothing: who tries names is slowed down. @throws ServerError RATE_LIMITED */
  refused(request: IncomingMessage): Promise<void> {
    return this.#limits.countRefusal(request);
  }

  async #caller({ headers }: IncomingMessage): Promise<{ known?: Caller; refusal?: unknown }> {
    if (headers.authorization === undefined) return {};
    try {
      return { known: await this.#authenticator.authenticate(headers.authorization) };
    } catch (refusal) {
      return { refusal };
    }
  }
}
