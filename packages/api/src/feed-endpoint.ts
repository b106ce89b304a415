/** The endpoints of feeds. */
import { z } from 'zod';
import type { Endpoint } from './endpoint.ts';
import { feedPageSchema } from './feed.ts';

export type FeedOperation = 'tenantFeed' | 'feed';

const feedQuery = {
  after: z.string().regex(/^(?:latest|[0-9a-f]{8}-[0-9]{1,15})$/),
  wait: z.string().regex(/^[0-9]{1,2}$/),
};

export const feedEndpoints: Readonly<Record<FeedOperation, Endpoint>> = {
  tenantFeed: {
    method: 'GET',
    path: '/v1/tenants/{slug}/feed',
    summary: 'What happened in a tenant, in order; as server-sent events with Accept: text/event-stream',
    query: feedQuery,
    responses: { 200: feedPageSchema },
    refusals: ['NOT_FOUND', 'MALFORMED', 'CURSOR_GONE', 'RATE_LIMITED'],
  },
  feed: {
    method: 'GET',
    path: '/v1/feed',
    summary: 'What happened in every tenant, in order, for the operator; as the feed of a tenant',
    query: feedQuery,
    responses: { 200: feedPageSchema },
    refusals: ['FORBIDDEN', 'MALFORMED', 'CURSOR_GONE', 'RATE_LIMITED'],
  },
};
