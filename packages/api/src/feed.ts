/** The change feed: what happened, in order and without a gap. The same events are what webhooks send. */
import { z } from 'zod';

/** What each type of event says. Types are added in later versions; a reader skips those it does not know. */
export interface FeedData {
  'tenant.created': { readonly path: string };
  publication: {
    readonly id: string;
    readonly snapshotVersion: number;
    readonly timestampVersion: number;
    /** By name, the first 100; `GET /v1/publications/{id}` has the versions of all. */
    readonly roles: readonly { readonly role: string; readonly version: number; readonly digest: string }[];
    readonly roleCount: number;
    /** Where it came of one. */
    readonly proposal?: number;
  };
  /** Beside the `publication` that it is part of. */
  'root.published': { readonly version: number; readonly digest: string };
  /** The service made a key; it signs with it once a root names it. */
  'online-key.created': { readonly purpose: string; readonly keyId: string };
  /** A new root names other keys of the service than the one before. */
  'online-key.rotated': {
    readonly rootVersion: number;
    readonly snapshot: readonly string[];
    readonly timestamp: readonly string[];
  };
  'proposal.opened': { readonly number: number; readonly digest: string; readonly supersedes?: number };
  'proposal.signed': { readonly number: number; readonly role: string; readonly keyId: string };
  /** Every threshold is met; it is going live. Comes again where other keys counted meanwhile. */
  'proposal.completed': { readonly number: number };
  'proposal.published': { readonly number: number };
  'proposal.withdrawn': { readonly number: number; readonly reason?: string };
  'proposal.superseded': { readonly number: number; readonly supersededBy: number };
  'proposal.overtaken': { readonly number: number; readonly reason?: string; readonly overtakenBy?: number };
  'proposal.expired': { readonly number: number; readonly reason?: string };
  /** What only its holders can sign again. `stage`: `30d` and so on before it expires, then `expired`. */
  'role.expiring': {
    readonly role: string;
    readonly version: number;
    /** ISO 8601 */
    readonly expires: string;
    readonly stage: string;
  };
}

export type FeedEventType = keyof FeedData;

interface FeedEventOf<T extends FeedEventType> {
  /** Where it stands in this feed: send it as `after` to go on behind it. Opaque. */
  readonly cursor: string;
  readonly type: T;
  /** ISO 8601 */
  readonly timestamp: string;
  /** The tenant's slug. */
  readonly tenant: string;
  readonly data: FeedData[T];
}

export type FeedEvent = { [T in FeedEventType]: FeedEventOf<T> }[FeedEventType];

export interface FeedPage {
  readonly events: readonly FeedEvent[];
  /** Send it as `after`: present also where there was nothing. */
  readonly next: string;
}

const number = z.int();
const optionalText = z.string().exactOptional();

const dataSchemas: { readonly [T in FeedEventType]: z.ZodType<FeedData[T]> } = {
  'tenant.created': z.object({ path: z.string() }),
  publication: z.object({
    id: z.uuid(),
    snapshotVersion: number,
    timestampVersion: number,
    roles: z.array(z.object({ role: z.string(), version: number, digest: z.string() })),
    roleCount: number,
    proposal: number.exactOptional(),
  }),
  'root.published': z.object({ version: number, digest: z.string() }),
  'online-key.created': z.object({ purpose: z.string(), keyId: z.string() }),
  'online-key.rotated': z.object({
    rootVersion: number,
    snapshot: z.array(z.string()),
    timestamp: z.array(z.string()),
  }),
  'proposal.opened': z.object({ number, digest: z.string(), supersedes: number.exactOptional() }),
  'proposal.signed': z.object({ number, role: z.string(), keyId: z.string() }),
  'proposal.completed': z.object({ number }),
  'proposal.published': z.object({ number }),
  'proposal.withdrawn': z.object({ number, reason: optionalText }),
  'proposal.superseded': z.object({ number, supersededBy: number }),
  'proposal.overtaken': z.object({ number, reason: optionalText, overtakenBy: number.exactOptional() }),
  'proposal.expired': z.object({ number, reason: optionalText }),
  'role.expiring': z.object({ role: z.string(), version: number, expires: z.string(), stage: z.string() }),
};

export const feedEventTypes: readonly FeedEventType[] = Object.keys(dataSchemas) as FeedEventType[];

export const feedEventSchema: z.ZodType<FeedEvent> = z.union(
  feedEventTypes.map((type) =>
    z.object({
      cursor: z.string(),
      type: z.literal(type),
      timestamp: z.string(),
      tenant: z.string(),
      data: dataSchemas[type],
    }),
  ),
) as z.ZodType<FeedEvent>;

export const feedPageSchema: z.ZodType<FeedPage> = z.object({
  events: z.array(feedEventSchema),
  next: z.string(),
});

export const eventStreamMediaType = 'text/event-stream';
