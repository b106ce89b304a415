/** The endpoints of API tokens. */
import { z } from 'zod';
import type { Endpoint } from './endpoint.ts';
import { createTokenRequestSchema, createdTokenSchema, tokenListSchema, tokenSchema } from './token.ts';

export type TokenOperation = 'createToken' | 'listTokens' | 'whoAmI' | 'deleteToken';

export const tokenEndpoints: Readonly<Record<TokenOperation, Endpoint>> = {
  createToken: {
    method: 'POST',
    path: '/v1/tokens',
    summary: 'Create an API token; its secret is shown this once',
    request: createTokenRequestSchema,
    responses: { 201: createdTokenSchema },
    refusals: ['MALFORMED', 'FORBIDDEN', 'NOT_FOUND', 'TOO_LARGE'],
  },
  listTokens: {
    method: 'GET',
    path: '/v1/tokens',
    summary: 'API tokens without their secrets, by id: those that the caller made, or as operator all',
    query: { after: z.string().regex(/^[0-9a-f]{16}$/) },
    responses: { 200: tokenListSchema },
    refusals: ['MALFORMED'],
  },
  whoAmI: {
    method: 'GET',
    path: '/v1/tokens/self',
    summary: 'Who made this request, and with which grants',
    responses: { 200: tokenSchema },
    refusals: [],
  },
  deleteToken: {
    method: 'DELETE',
    path: '/v1/tokens/{id}',
    summary:
      'Delete an API token: the one that made the request, one that the caller made, or as operator any',
    responses: { 204: null },
    refusals: ['NOT_FOUND'],
  },
};
