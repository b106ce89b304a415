/** The endpoints of publications. */
import { submissionRefusals, type Endpoint } from './endpoint.ts';
import { publicationRequestSchema, publicationSchema } from './publication.ts';

export type PublicationOperation = 'publish' | 'getPublication';

export const publicationEndpoints: Readonly<Record<PublicationOperation, Endpoint>> = {
  publish: {
    method: 'POST',
    path: '/v1/tenants/{slug}/publications',
    summary: 'Put signed role files live in one step, with a new snapshot and timestamp',
    request: publicationRequestSchema,
    responses: { 200: publicationSchema, 201: publicationSchema },
    refusals: submissionRefusals,
  },
  getPublication: {
    method: 'GET',
    path: '/v1/publications/{id}',
    summary: 'What became of a publication',
    responses: { 200: publicationSchema },
    refusals: ['NOT_FOUND'],
  },
};
