/**
 * Keeps one tenant up to date: the client workflow of the TUF specification over a source and a trust store. Refreshes
 * never overlap, work on a copy, and are stored before anything is answered from them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { limits, MetadataError, servedName, type TargetFile, type TenantPath } from '@mandate/metadata';
import { Children, type OpenChild } from './children.ts';
import { ClientError } from './error.ts';
import type { RootFrom } from './evidence.ts';
import { RootHistory, startTrust, type Pin, type TrustState } from './pin.ts';
import { refreshTrust, type FetchMode } from './refresh.ts';
import type { Source } from './source.ts';
import type { StoredTrust, TrustChange, TrustStore } from './store.ts';
import { fetchTarget } from './target-file.ts';
import { View, type Hints } from './view.ts';

export interface UpdaterOptions {
  readonly source: Source;
  readonly store: TrustStore;
  readonly pin: Pin;
  /** Its path, for evidence; with `openChild`, where its children hang. */
  readonly tenant?: TenantPath | undefined;
  /** Opens the tenants that this one anchors. Undefined: their names are refused. */
  readonly openChild?: OpenChild | undefined;
  /** Whether anchors are looked for that only readers with a grant are served. Default false. */
  readonly detachedAnchors?: boolean | undefined;
  /** Where target files are, for `fetchTarget`. */
  readonly targets?: Source | undefined;
  /** Default `parallel`. */
  readonly mode?: FetchMode | undefined;
  /** For how long answers are given without asking the repository again, milliseconds. Default one minute. */
  readonly refreshAfterMs?: number | undefined;
}

/** What is known of the tenant between refreshes, and what of it the store has. */
interface Known {
  readonly state: TrustState;
  readonly stored: StoredTrust;
}

/** Lost to other processes that share the store; the pauses between them come to some four seconds at most. */
const commitAttempts = 12;
const firstPauseMs = 10;
const longestPauseMs = 500;
/** For how many new roots one refresh begins again. */
const rootsMeanwhile = 3;
/** Whose keys a root names, besides its own. */
const rootedRoles: ReadonlySet<string> = new Set(['timestamp', 'snapshot', 'targets']);
/** How long a service of several processes is given to agree: each knows what another one published within a quarter second. */
const agreeMs = 350;
/** How long a repository that was away is taken to be away still, by those who have something to stand in for it. */
const awayMs = 5_000;

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}

function sameFiles(a: TrustChange, b: TrustChange): boolean {
  return (
    sameBytes(a.root, b.root) && sameBytes(a.timestamp, b.timestamp) && sameBytes(a.snapshot, b.snapshot)
  );
}

export class Updater {
  /** The tenants that this one anchors. */
  readonly children: Children;
  readonly #options: UpdaterOptions;
  readonly #mode: FetchMode;
  readonly #refreshAfterMs: number;
  #known: Known | undefined;
  #view: View | undefined;
  #running: { readonly number: number; readonly view: Promise<View> } | undefined;
  #flights = 0;
  #away: { readonly since: number; readonly error: unknown } | undefined;

  constructor(options: UpdaterOptions) {
    this.#options = options;
    this.#mode = options.mode ?? 'parallel';
    this.#refreshAfterMs = options.refreshAfterMs ?? 60_000;
    this.children = new Children(options, (more) => new Updater({ ...options, ...more }));
  }

  /** Its path; undefined where it is known by none. */
  get tenant(): TenantPath | undefined {
    return this.#options.tenant;
  }

  /** How the root came to be trusted, for evidence. */
  get rootFrom(): RootFrom {
    const { pin } = this.#options;
    if ('anchor' in pin) return 'anchor';
    return 'genesis' in pin ? 'pinned' : 'file';
  }

  get pin(): Pin {
    return this.#options.pin;
  }
  get source(): Source {
    return this.#options.source;
  }

  get store(): TrustStore {
    return this.#options.store;
  }

  /** Refreshes begun so far. */
  get flights(): number {
    return this.#flights;
  }

  /** The state in memory, where no refresh is due at `now` (milliseconds since the epoch). */
  loaded(now: number): View | undefined {
    const view = this.#view;
    if (view === undefined || now < view.refreshedAt || now - view.refreshedAt >= this.#refreshAfterMs) {
      return undefined;
    }
    const { root, timestamp, snapshot } = view.trusted;
    const expires = Math.min(root.file.expires, timestamp?.file.expires ?? 0, snapshot?.file.expires ?? 0);
    return now < expires ? view : undefined;
  }

  /** The state in memory, or after a refresh where one is due. @throws MetadataError, ClientError. */
  async view(now: number, hints: Hints = []): Promise<View> {
    return this.loaded(now) ?? (await this.refresh(now, hints));
  }

  /**
   * Asks the repository; callers that come while it runs share it. Root, timestamp, snapshot and the top-level targets
   * are current afterwards.
   *
   * @param hints delegated roles that will probably be needed, the first that exists of each group
   * @throws MetadataError, ClientError: the step that failed; what was verified before it is kept and stored.
   */
  refresh(now: number, hints: Hints = []): Promise<View> {
    if (this.#running !== undefined) return this.#running.view;
    const number = (this.#flights += 1);
    const view = this.#refresh(number, now, hints)
      .catch((error: unknown) => {
        this.#away = isUnreachable(error) ? { since: now, error } : undefined;
        // A repository that answers wrongly, or that moved on and then went away, ends what is in memory.
        if (!isUnreachable(error) || this.standIn() === undefined) this.#view = undefined;
        throw error;
      })
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = { number, view };
    return view;
  }

  /** A refresh that began after the one numbered `flight`: what was published before the call is in it. */
  async refreshAfter(flight: number, now: number, hints: Hints = []): Promise<View> {
    if (this.#running !== undefined && this.#running.number <= flight) {
      await this.#running.view.catch(() => {});
    }
    return await this.refresh(now, hints);
  }

  /**
   * A root that is published while a refresh is on its way hands later files to keys that the refresh cannot know yet. And
   * one process behind a balancer may show a root or a timestamp while another one still has the timestamp before it: that
   * is asked for once more, a moment later.
   */
  async #refresh(flight: number, now: number, hints: Hints): Promise<View> {
    let hasWaited = false;
    for (let again = 0; ; again += 1) {
      try {
        return await this.#refreshOnce(flight, now, hints);
      } catch (error) {
        if (again < rootsMeanwhile && (await this.#rootCameMeanwhile(error))) continue;
        if (hasWaited || this.#mode === 'sequential' || !isBehind(error)) throw error;
        hasWaited = true;
        await sleep(agreeMs);
      }
    }
  }

  async #rootCameMeanwhile(error: unknown): Promise<boolean> {
    const root = this.#known?.state.trusted.root.file;
    if (this.#mode === 'sequential' || root === undefined || !(error instanceof MetadataError)) return false;
    if (error.code !== 'THRESHOLD_NOT_MET' || !rootedRoles.has(error.role ?? '')) return false;
    try {
      const name = servedName('root', root.version + 1);
      return (await this.#options.source.fetch(name, limits.rootBytes)) !== undefined;
    } catch {
      return false;
    }
  }

  async #refreshOnce(flight: number, now: number, hints: Hints): Promise<View> {
    for (let attempt = 1; attempt <= commitAttempts; attempt += 1) {
      const { state: before, stored } = await this.#load();
      const state = {
        ...before,
        trusted: before.trusted.fork(),
        history: new RootHistory(before.history.versions),
      };
      const failure = await refreshTrust(state, this.#options.source, this.#mode, now).then(
        () => undefined,
        (error: unknown) => ({ error }),
      );
      const kept = await this.#commit(state, stored);
      // Another process was faster: its floors count, so begin again from them.
      if (kept === undefined) {
        if (attempt < commitAttempts) await sleep(pauseMs(attempt));
        continue;
      }
      this.#known = { state, stored: kept };
      if (failure !== undefined) throw failure.error;
      const view = new View(state.trusted, { ...this.#options, mode: this.#mode }, { flight, at: now });
      view.prefetch([['targets'], ...hints]);
      await view.load('targets', 'root', now);
      this.#view = view;
      this.#away = undefined;
      return view;
    }
    throw new ClientError('UNREACHABLE', 'BUSY', 'other processes keep changing the trust store; try again');
  }

  /** What is in memory, unless another process stored something else since. */
  async #load(): Promise<Known> {
    const { store, source, pin } = this.#options;
    const known = this.#known;
    if (known !== undefined && (await store.revision()) === known.stored.revision) return known;
    const stored = await store.load();
    if (known !== undefined && sameFiles(known.stored, stored)) return { ...known, stored };
    const state = await startTrust(stored, pin, (name, maxBytes) => source.fetch(name, maxBytes));
    return { state, stored };
  }

  /** Stores what was verified. @returns what the store has now, undefined where another process was first */
  async #commit(
    { trusted, history, floors, anchored, expected }: TrustState,
    stored: StoredTrust,
  ): Promise<StoredTrust | undefined> {
    // The chain has not come back to the stored root yet: nothing that is stored may go. And what a parent anchors
    // proves nothing before it was found on the chain.
    const { version } = trusted.root.file;
    const isBehind = version < floors.rootVersion;
    const isAnchored = 'anchor' in this.#options.pin;
    const change: TrustChange = isBehind
      ? { ...stored, roots: isAnchored ? stored.roots : history.versions }
      : {
          root: trusted.root.file.envelope.bytes,
          timestamp: trusted.timestamp?.file.envelope.bytes,
          snapshot: trusted.snapshotFloor?.file.envelope.bytes,
          roots: history.versions,
          anchored: version < (expected?.version ?? 0) ? stored.anchored : anchored,
        };
    const { store } = this.#options;
    const isSame = change.roots.size === stored.roots.size && change.anchored === stored.anchored;
    if (isSame && sameFiles(change, stored)) {
      return (await store.revision()) === stored.revision ? stored : undefined;
    }
    const revision = await store.commit(stored.revision, change);
    return revision === undefined ? undefined : { ...change, revision };
  }

  /**
   * The tenant as it was stored, without the network: for as long as everything in it is unexpired.
   *
   * @throws MetadataError EXPIRED and others; ClientError UNREACHABLE/OFFLINE where nothing was stored.
   */
  async offline(now: number): Promise<View> {
    const nothing = async (): Promise<never> => {
      throw new ClientError('UNREACHABLE', 'OFFLINE', 'nothing of this tenant was stored yet');
    };
    const stored = await this.#options.store.load();
    const { trusted, floors } = await startTrust(stored, this.#options.pin, nothing);
    if (trusted.root.file.version !== floors.rootVersion || trusted.timestamp === undefined) await nothing();
    trusted.requireFreshRoot(now);
    if (!trusted.adoptStoredSnapshot(now)) {
      throw new ClientError('UNREACHABLE', 'OFFLINE', 'the stored snapshot is missing or out of date', {
        role: 'snapshot',
      });
    }
    const from = { store: this.#options.store, source: undefined, mode: this.#mode };
    return new View(trusted, from, { flight: 0, at: now });
  }

  /** A target's bytes, checked against what its role signed. @throws ClientError. */
  fetchTarget(view: View, path: string, file: TargetFile): Promise<Uint8Array> {
    const { targets } = this.#options;
    if (targets === undefined) throw new TypeError('this updater was given no source of targets');
    return fetchTarget(targets, path, file, view.trusted.root.file.consistentSnapshot);
  }

  /** The error of a refresh a moment ago that did not reach the repository. */
  away(now: number): unknown {
    const away = this.#away;
    return away !== undefined && now >= away.since && now - away.since < awayMs ? away.error : undefined;
  }

  /** The last state in memory, due or not, where nothing newer was verified since: for while the repository is away. */
  standIn(): View | undefined {
    const view = this.#view;
    const known = this.#known?.state.trusted;
    if (view === undefined || known === undefined) return view;
    const isNewest =
      known.root.file.version === view.trusted.root.file.version &&
      known.timestamp?.file.version === view.trusted.timestamp?.file.version;
    return isNewest ? view : undefined;
  }
}

/** Grows, and is of a random length: processes that met once do not meet again. */
function pauseMs(attempt: number): number {
  return Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
}

/** Whether an error means that the repository could not be asked, rather than that it answered wrongly. */
export function isUnreachable(error: unknown): boolean {
  return (error instanceof MetadataError || error instanceof ClientError) && error.code === 'UNREACHABLE';
}

/** Whether a timestamp was refused that a process serves which has not heard of the newest yet; or an attacker. */
function isBehind(error: unknown): boolean {
  if (!(error instanceof MetadataError) || error.role !== 'timestamp') return false;
  return error.code === 'THRESHOLD_NOT_MET' || (error.code === 'ROLLBACK' && error.reason === 'OLDER');
}
