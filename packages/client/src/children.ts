/**
 * The tenants that one tenant anchors (DESIGN section 2, "Nested tenants"): who has a name's first segment, as a view of
 * the parent says. Whoever was met keeps its names, whatever the parent says later.
 */
import {
  anchorPath,
  childTenant,
  detachedAnchorRole,
  detachedFloorOf,
  limits,
  requireUnexpired,
  roleFileName,
  verifyDetachedAnchor,
  parseAnchor,
  type Anchor,
  type DetachedAnchor,
  type Lookup,
  type Step,
  type TenantPath,
} from '@mandate/metadata';
import { ClientError } from './error.ts';
import type { Pin } from './pin.ts';
import type { Source } from './source.ts';
import type { MetChild, TrustStore } from './store.ts';
import type { Updater } from './updater.ts';
import type { View } from './view.ts';

/** Where a child's metadata is, and where what is verified of it is kept. */
export interface OpenedChild {
  readonly source: Source;
  /** By the child's genesis: the same one that a pin of this tenant uses, so that both share what was seen. */
  readonly store: TrustStore;
  readonly targets?: Source | undefined;
  /** Whether its own children may have detached anchors that this reader is served. */
  readonly detachedAnchors?: boolean | undefined;
}

export type OpenChild = (child: TenantPath, anchor: Anchor) => Promise<OpenedChild>;

/** An anchor as it was found. */
export interface FoundAnchor {
  readonly segment: string;
  readonly anchor: Anchor;
  /** The walk to its entry; empty for a detached one. */
  readonly steps: readonly Step[];
  readonly detached: DetachedAnchor | undefined;
}

/** Nobody; a child; or what has to be done before the question can be asked again. */
export type ChildAnswer =
  | { readonly found: FoundAnchor | undefined }
  | { readonly prepare: () => Promise<void> };

/** The part of an updater's options that children inherit or look at. */
interface Parent {
  readonly source: Source;
  readonly store: TrustStore;
  readonly tenant?: TenantPath | undefined;
  readonly openChild?: OpenChild | undefined;
  readonly detachedAnchors?: boolean | undefined;
}

interface ChildOptions extends OpenedChild {
  readonly pin: Pin;
  readonly tenant: TenantPath;
}

/** What a view does not say by itself. */
interface Beside {
  readonly met: MetChild | undefined;
  readonly detached: DetachedAnchor | undefined;
}

export class Children {
  readonly #parent: Parent;
  readonly #create: (options: ChildOptions) => Updater;
  readonly #open = new Map<string, { readonly key: string; readonly updater: Updater }>();
  readonly #beside = new WeakMap<View, Map<string, Beside>>();

  constructor(parent: Parent, create: (options: ChildOptions) => Updater) {
    this.#parent = parent;
    this.#create = create;
  }

  /**
   * Who has the names below `segment`, in one view of the parent. Waits for nothing.
   *
   * @param now milliseconds since the epoch
   * @throws MetadataError; ClientError ROLLBACK/ANCHOR_GONE and FORBIDDEN/ANCHOR_GONE for a child that was met.
   */
  ask(view: View, segment: string, now: number): ChildAnswer {
    if (view.trusted.genesis === undefined) return { found: undefined };
    const answer: Lookup = view.lookup(anchorPath(segment), now);
    if ('load' in answer) return { prepare: () => view.load(answer.load, answer.delegator, now) };
    if ('found' in answer) {
      const anchor = parseAnchor(answer.found);
      return { found: { segment, anchor, steps: answer.steps, detached: undefined } };
    }
    const beside = this.#beside.get(view)?.get(segment);
    if (beside === undefined) return { prepare: () => this.#lookBeside(view, segment, now) };
    const { met, detached } = beside;
    if (detached !== undefined) {
      requireUnexpired(detached.verified.file, detachedAnchorRole(segment), now);
      return { found: { segment, anchor: detached.anchor, steps: [], detached } };
    }
    if (met !== undefined) throw gone(segment, met);
    return { found: undefined };
  }

  /** The updater of a child as it is anchored; undefined where it has to be opened. */
  opened({ segment, anchor }: FoundAnchor): Updater | undefined {
    const open = this.#open.get(segment);
    return open?.key === keyOf(anchor) ? open.updater : undefined;
  }

  /**
   * Opens a child, and remembers that it was met.
   *
   * @throws ClientError ROOT_REPLACED/GENESIS where it was met with another genesis; NO_TRUST_ROOT/NO_ROOT where this
   * verifier follows no anchors.
   */
  async open({ segment, anchor, detached }: FoundAnchor): Promise<Updater> {
    const { store, tenant, openChild } = this.#parent;
    if (openChild === undefined || tenant === undefined) {
      const message = `names below ${segment} belong to a tenant of its own, whose root is not pinned here`;
      throw new ClientError('NO_TRUST_ROOT', 'NO_ROOT', message, { role: 'tenants' });
    }
    await store.meet(segment, {
      genesis: anchor.genesis,
      ...(detached === undefined ? {} : { detached: detachedFloorOf(detached.verified.file) }),
    });
    const path = childTenant(tenant, segment);
    const opened = await openChild(path, anchor);
    const updater = this.#create({
      detachedAnchors: undefined,
      targets: undefined,
      ...opened,
      pin: { anchor },
      tenant: path,
    });
    const first = this.opened({ segment, anchor, steps: [], detached });
    if (first !== undefined) return first;
    this.#open.set(segment, { key: keyOf(anchor), updater });
    return updater;
  }

  async #lookBeside(view: View, segment: string, now: number): Promise<void> {
    const met = (await this.#parent.store.met()).get(segment);
    const detached = await this.#detached(view, segment, met, now);
    let known = this.#beside.get(view);
    if (known === undefined) this.#beside.set(view, (known = new Map()));
    known.set(segment, { met, detached });
  }

  /** A detached anchor from the host, or from the store where the network is ruled out. */
  async #detached(
    view: View,
    segment: string,
    met: MetChild | undefined,
    now: number,
  ): Promise<DetachedAnchor | undefined> {
    const { source, store, detachedAnchors } = this.#parent;
    if (detachedAnchors !== true && met?.detached === undefined) return undefined;
    const role = detachedAnchorRole(segment);
    const bytes = view.isOffline ? await store.role(role) : await fetchIfShown(source, roleFileName(role));
    if (bytes === undefined) return undefined;
    await view.load('targets', 'root', now);
    const detached = verifyDetachedAnchor(view.trusted, segment, bytes, met?.detached, now);
    if (!view.isOffline) await store.saveRole(role, bytes);
    return detached;
  }
}

/** A host that wants other credentials shows this reader no anchor; what anyone may read is not refused for it. */
async function fetchIfShown(source: Source, name: string): Promise<Uint8Array | undefined> {
  try {
    return await source.fetch(name, limits.detachedAnchorBytes);
  } catch (error) {
    if (error instanceof ClientError && error.reason === 'CREDENTIALS') return undefined;
    throw error;
  }
}

function keyOf({ rootDigest, metadataUrls }: Anchor): string {
  return [rootDigest, ...metadataUrls].join(' ');
}

function gone(segment: string, { detached }: MetChild): ClientError {
  return detached === undefined
    ? new ClientError(
        'ROLLBACK',
        'ANCHOR_GONE',
        `${segment} was a tenant of its own, and its anchor is gone; its parent does not speak for it`,
        { role: 'tenants' },
      )
    : new ClientError(
        'FORBIDDEN',
        'ANCHOR_GONE',
        `the anchor of ${segment} is not served to this reader any more`,
        {
          role: detachedAnchorRole(segment),
        },
      );
}
