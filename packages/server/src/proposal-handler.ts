/** What the endpoints for proposals do. */
import type { IncomingMessage } from 'node:http';
import {
  addSignaturesRequestSchema,
  apiLimits,
  createProposalRequestSchema,
  proposalStates,
  withdrawProposalRequestSchema,
  type ProposalList,
  type ProposalOperation,
  type ProposalProgress,
  type ProposalState,
} from '@mandate/api';
import { ownsChildOf, requireOwnAnchor } from './anchor-proposal.ts';
import type { ApiHandlers, FindReadable } from './api-handler.ts';
import { readJson } from './body.ts';
import { ServerError } from './error.ts';
import { noProposal, summaryOf } from './proposal-answer.ts';
import { requireMayUseManagedKeys } from './managed-role.ts';
import type { ProposalBook } from './proposal-book.ts';
import type { ProposalView } from './proposal-view.ts';
import { numberOf, queryOf } from './query.ts';
import type { Database } from './sql/connection.ts';
import { readProposals } from './sql/proposal.ts';
import type { OpenTenant, TenantRegistry } from './tenant-registry.ts';
import { hasGrant, type Caller } from './caller.ts';

export interface ProposalHandlerContext {
  readonly database: Database;
  readonly registry: TenantRegistry;
  readonly book: ProposalBook;
  readonly view: ProposalView;
  readonly readable: FindReadable;
}

function proposalNumberOf(parameters: Readonly<Record<string, string>>): number {
  const text = parameters['number'] ?? '';
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw noProposal();
  return Number(text);
}

function requireWriter(caller: Caller, { tenant }: OpenTenant): void {
  if (hasGrant(caller, tenant, 'publisher')) return;
  throw new ServerError(
    'FORBIDDEN',
    `the token may read tenant ${tenant.path}, not propose or sign; ask its owner`,
  );
}

function filterOf(message: IncomingMessage): {
  state: ProposalState | undefined;
  before: number | undefined;
} {
  const query = queryOf('listProposals', message);
  return {
    state: proposalStates.find((state) => state === query('state')),
    before: numberOf(query('before')),
  };
}

export function createProposalHandlers(context: ProposalHandlerContext): ApiHandlers<ProposalOperation> {
  const { database, registry, book, view, readable } = context;

  async function progressOf(open: OpenTenant, number: number): Promise<ProposalProgress> {
    const progress = await view.progress(open, number);
    if (progress === undefined) throw noProposal();
    return progress;
  }

  return {
    async propose({ caller, parameters, message }) {
      const slug = parameters['slug'] ?? '';
      const child = ownsChildOf(caller, slug) ? await registry.find(slug) : undefined;
      const open = child ?? (await readable(caller, slug));
      const isChildOnly = child !== undefined && !hasGrant(caller, open.tenant, 'publisher');
      if (!isChildOnly) requireWriter(caller, open);
      const request = await readJson(message, createProposalRequestSchema, apiLimits.publicationBytes);
      if (isChildOnly) await requireOwnAnchor(database, caller, open.tenant, request);
      const actor = { tokenId: caller.tokenId, owner: hasGrant(caller, open.tenant, 'owner') };
      const { number, fresh } = await book.propose(open, actor, request);
      return { status: fresh ? 201 : 200, body: await progressOf(open, number) };
    },

    async listProposals({ caller, parameters, message }) {
      const open = await readable(caller, parameters['slug']);
      const filter = filterOf(message);
      await view.refresh(open);
      const limit = apiLimits.proposalPage;
      const rows = await readProposals(database.of(open.tenant.id), { ...filter, limit: limit + 1 });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const body: ProposalList = {
        proposals: page.map(summaryOf),
        ...(rows.length > limit && last !== undefined ? { next: last.number } : {}),
      };
      return { status: 200, body };
    },

    async getProposal({ caller, parameters }) {
      const open = await readable(caller, parameters['slug']);
      const proposal = await view.show(open, proposalNumberOf(parameters));
      if (proposal === undefined) throw noProposal();
      return { status: 200, body: proposal };
    },

    async addSignatures({ caller, parameters, message }) {
      const open = await readable(caller, parameters['slug']);
      requireWriter(caller, open);
      const number = proposalNumberOf(parameters);
      const { signatures } = await readJson(message, addSignaturesRequestSchema, apiLimits.signaturesBytes);
      await book.sign(open, number, caller.tokenId, signatures);
      return { status: 200, body: await progressOf(open, number) };
    },

    async signProposalManaged({ caller, parameters }) {
      const open = await readable(caller, parameters['slug']);
      requireWriter(caller, open);
      requireMayUseManagedKeys(caller, open.tenant);
      const number = proposalNumberOf(parameters);
      await book.signManaged(open, number, caller.tokenId);
      return { status: 200, body: await progressOf(open, number) };
    },

    async withdrawProposal({ caller, parameters, message }) {
      const open = await readable(caller, parameters['slug']);
      requireWriter(caller, open);
      const number = proposalNumberOf(parameters);
      const { message: reason } = await readJson(message, withdrawProposalRequestSchema, apiLimits.bodyBytes);
      const actor = { tokenId: caller.tokenId, owner: hasGrant(caller, open.tenant, 'owner') };
      await book.withdraw(open, number, actor, reason);
      return { status: 200, body: await progressOf(open, number) };
    },
  };
}
