/** The endpoints of anchors of private tenants. */
import { detachedAnchorSchema, putAnchorRequestSchema } from './anchor.ts';
import { submissionRefusals, type Endpoint } from './endpoint.ts';

export type AnchorOperation = 'putAnchor';

export const anchorEndpoints: Readonly<Record<AnchorOperation, Endpoint>> = {
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
