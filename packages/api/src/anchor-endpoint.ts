/** The endpoints of anchors. */
import { anchorStateSchema, detachedAnchorSchema, putAnchorRequestSchema } from './anchor.ts';
import { submissionRefusals, type Endpoint } from './endpoint.ts';

export type AnchorOperation = 'getAnchor' | 'putAnchor';

export const anchorEndpoints: Readonly<Record<AnchorOperation, Endpoint>> = {
  getAnchor: {
    method: 'GET',
    path: '/v1/tenants/{slug}/anchor',
    summary: 'How the anchor of the tenant stands in the one above: what is live, and what is proposed',
    responses: { 200: anchorStateSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN'],
  },
  putAnchor: {
    method: 'PUT',
    path: '/v1/tenants/{slug}/anchors/{segment}',
    summary:
      'Store the anchor of a private tenant below, signed by the tenants keys; its readers alone are served it',
    request: putAnchorRequestSchema,
    responses: { 200: detachedAnchorSchema, 201: detachedAnchorSchema },
    refusals: submissionRefusals,
  },
};
