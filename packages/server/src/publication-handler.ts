/** What the endpoints of publications do. */
import { apiLimits, publicationRequestSchema, type PublicationOperation } from '@mandate/api';
import type { AcceptedPublication } from '@mandate/metadata';
import { notFound, type ApiHandlers, type FindReadable } from './api-handler.ts';
import { readJson } from './body.ts';
import { hasGrant, mayRead } from './caller.ts';
import { hasCode, ServerError } from './error.ts';
import { requireMayUseManagedKeys } from './managed-role.ts';
import { publicationOf } from './member.ts';
import { describe } from './principal.ts';
import type { Database } from './sql/connection.ts';
import { findPublications } from './sql/publication.ts';
import {
  checkFresh,
  checkManaged,
  parseSubmission,
  type Submission,
  type SubmissionRules,
} from './submission.ts';

export interface PublicationHandlerContext {
  readonly database: Database;
  readonly readable: FindReadable;
  readonly rules: SubmissionRules;
  /** A publication is answered within it, one way or the other. */
  readonly publicationTimeoutMs: number;
}

interface Checked {
  readonly submission: Submission;
  readonly accepted: AcceptedPublication;
  readonly managed?: readonly string[];
}

const uuidForm = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function createPublicationHandlers({
  database,
  readable,
  rules,
  publicationTimeoutMs,
}: PublicationHandlerContext): ApiHandlers<PublicationOperation> {
  return {
    async publish({ caller, parameters, message }) {
      const { tenant, writer } = await readable(caller, parameters['slug']);
      if (!hasGrant(caller, tenant, 'publisher')) {
        throw new ServerError(
          'FORBIDDEN',
          `the token may read tenant ${tenant.path}, not publish; ask its owner`,
        );
      }
      // Only now: a body is read from those alone who may send one.
      const request = await readJson(message, publicationRequestSchema, apiLimits.publicationBytes);
      if (request.managed === true) requireMayUseManagedKeys(caller, tenant);
      const submission = parseSubmission(request);
      let checked: Checked;
      try {
        checked =
          request.managed === true
            ? await checkManaged(tenant, submission, rules)
            : { submission, accepted: await checkFresh(tenant, submission, rules) };
      } catch (error) {
        if (!hasCode(error, 'CONFLICT')) throw error;
        // The same publication again, some time after it went live: its versions are the past by now.
        const [row] = await findPublications(database, [submission.id]);
        const isSame = row?.tenantId === tenant.id && row.digest.equals(submission.digest);
        if (row === undefined || !isSame) throw error;
        return { status: 200, body: publicationOf(row) };
      }
      const deadline = rules.now() + publicationTimeoutMs;
      const { fresh, publication } = await writer.submit({
        ...checked.submission,
        accepted: checked.accepted,
        ...(checked.managed === undefined || checked.managed.length === 0
          ? {}
          : { managed: checked.managed }),
        who: describe(caller),
        deadline,
      });
      return { status: fresh ? 201 : 200, body: publication };
    },

    async getPublication({ caller, parameters }) {
      const id = parameters['id'] ?? '';
      const [row] = uuidForm.test(id) ? await findPublications(database, [id]) : [];
      if (row === undefined || !mayRead(caller, row)) throw notFound('publication');
      return { status: 200, body: publicationOf(row) };
    },
  };
}
