/** The endpoints of proposals. */
import { z } from 'zod';
import { submissionRefusals, type Endpoint } from './endpoint.ts';
import {
  addSignaturesRequestSchema,
  createProposalRequestSchema,
  proposalListSchema,
  proposalProgressSchema,
  proposalSchema,
  proposalStates,
  withdrawProposalRequestSchema,
} from './proposal.ts';

export type ProposalOperation =
  | 'propose'
  | 'listProposals'
  | 'getProposal'
  | 'addSignatures'
  | 'signProposalManaged'
  | 'withdrawProposal';

export const proposalEndpoints: Readonly<Record<ProposalOperation, Endpoint>> = {
  propose: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals',
    summary:
      'Collect signatures for next versions of files; they go live together once every threshold is met',
    request: createProposalRequestSchema,
    responses: { 200: proposalProgressSchema, 201: proposalProgressSchema },
    refusals: submissionRefusals,
  },
  listProposals: {
    method: 'GET',
    path: '/v1/tenants/{slug}/proposals',
    summary: 'Proposals of a tenant, newest first',
    query: { state: z.enum(proposalStates), before: z.string().regex(/^[1-9][0-9]{0,8}$/) },
    responses: { 200: proposalListSchema },
    refusals: ['NOT_FOUND', 'MALFORMED'],
  },
  getProposal: {
    method: 'GET',
    path: '/v1/tenants/{slug}/proposals/{number}',
    summary: 'A proposal with its files exactly as they are to be signed, its signatures, and who is missing',
    responses: { 200: proposalSchema },
    refusals: ['NOT_FOUND'],
  },
  addSignatures: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/signatures',
    summary: 'Add signatures, all of them or none; the one that completes the proposal puts it live',
    request: addSignaturesRequestSchema,
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
  signProposalManaged: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/managed-signatures',
    summary: 'Have the service sign with its managed keys, where nothing but those is missing',
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'THRESHOLD_NOT_MET', 'CONFLICT'],
  },
  withdrawProposal: {
    method: 'POST',
    path: '/v1/tenants/{slug}/proposals/{number}/withdraw',
    summary: 'Take a proposal back: who made it, or an owner',
    request: withdrawProposalRequestSchema,
    responses: { 200: proposalProgressSchema },
    refusals: ['NOT_FOUND', 'FORBIDDEN', 'MALFORMED', 'CONFLICT', 'TOO_LARGE'],
  },
};
