/** From a request to publish to a member of the queue: decoded, digested, and checked outside any lock. */
import { createHash } from 'node:crypto';
import { apiLimits, type PublicationRequest } from '@mandate/api';
import {
  checkPublication,
  hexOf,
  MetadataError,
  parseTargetPath,
  planPublication,
  sha256Of,
  type AcceptedPublication,
  type SubmittedFile,
} from '@mandate/metadata';
import { ServerError } from './error.ts';
import { requireNoExampleKey } from './example-key.ts';
import { managedSignatures, requireOnPurpose, withSignatures } from './managed-role.ts';
import { lostRace } from './member.ts';
import type { NewTarget } from './sql/publication.ts';
import type { Tenant } from './tenant.ts';

export interface Submission {
  readonly id: string;
  readonly digest: Uint8Array;
  readonly files: readonly SubmittedFile[];
  readonly targets: readonly NewTarget[];
}

/** @throws ServerError or MetadataError for a target file that is too large or has a path that we do not write. */
export function parseSubmission(request: PublicationRequest): Submission {
  const files = request.files.map(({ role, metadata }) => ({ role, bytes: Buffer.from(metadata) }));
  const targets = parseTargetFiles(request.targets);
  return { id: request.id.toLowerCase(), digest: digestOf(files, targets), files, targets };
}

/** @throws ServerError or MetadataError for one that is too large or has a path that we do not write. */
export function parseTargetFiles(targets: PublicationRequest['targets']): NewTarget[] {
  return (targets ?? []).map(({ path, content }) => {
    const bytes = Buffer.from(content, 'base64');
    if (bytes.length > apiLimits.targetBytes) {
      throw new ServerError('LIMIT_EXCEEDED', `target ${path}: over ${apiLimits.targetBytes} bytes`);
    }
    return targetOf(parseTargetPath(path), bytes);
  });
}

export function targetOf(path: string, bytes: Uint8Array): NewTarget {
  return { path, sha256: hexOf(sha256Of(bytes)), bytes };
}

/** Over names and contents in the order sent, lengths first, so that no two submissions look alike. */
function digestOf(files: readonly SubmittedFile[], targets: readonly NewTarget[]): Buffer {
  const digest = createHash('sha256');
  const add = (name: string, bytes: Uint8Array): void => {
    digest.update(`${Buffer.byteLength(name)}:${name}:${bytes.length}:`).update(bytes);
  };
  for (const { role, bytes } of files) add(role, bytes);
  digest.update('targets:');
  for (const { path, bytes } of targets) add(path, bytes);
  return digest.digest();
}

/** Every stored target must be what a role of the same publication lists under that path. */
function requireListed(targets: readonly NewTarget[], accepted: AcceptedPublication): void {
  for (const { path, sha256, bytes } of targets) {
    const listed = accepted.roles.some(({ file }) => {
      const entry = file.targets.get(path);
      return entry?.length === bytes.length && entry.hashes.sha256 === sha256;
    });
    if (listed) continue;
    throw new ServerError(
      'MALFORMED',
      `target ${path}: no role of this publication lists a file of this content`,
    );
  }
}

export interface SubmissionRules {
  readonly production: boolean;
  readonly exampleKeys: ReadonlySet<string>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * The rules, against the tenant as this process knows it.
 *
 * @throws MetadataError or ServerError; CONFLICT where a version does not follow the current one.
 */
export function checkSubmission(
  tenant: Tenant,
  submission: Pick<Submission, 'files' | 'targets'>,
  rules: SubmissionRules,
): Promise<AcceptedPublication> {
  return judge(checkPublication, tenant, submission, rules);
}

/** As `checkSubmission`, whatever is signed so far. */
export function planSubmission(
  tenant: Tenant,
  submission: Pick<Submission, 'files' | 'targets'>,
  rules: SubmissionRules,
): Promise<AcceptedPublication> {
  return judge(planPublication, tenant, submission, rules);
}

async function judge(
  rule: typeof checkPublication,
  tenant: Tenant,
  submission: Pick<Submission, 'files' | 'targets'>,
  rules: SubmissionRules,
): Promise<AcceptedPublication> {
  let accepted: AcceptedPublication;
  try {
    accepted = await rule(submission.files, await tenant.current(), rules.now());
  } catch (error) {
    if (error instanceof MetadataError && error.reason === 'VERSION') {
      throw lostRace(submission, tenant.head, error.role);
    }
    throw error;
  }
  if (accepted.roots.length > 0) {
    const signers = await tenant.signers(accepted.root);
    signers.for(accepted.root, 'snapshot');
    signers.for(accepted.root, 'timestamp');
  }
  if (rules.production) {
    for (const root of accepted.roots) requireNoExampleKey('root', root, rules.exampleKeys);
    for (const { name, file } of accepted.roles) requireNoExampleKey(name, file, rules.exampleKeys);
  }
  requireListed(submission.targets, accepted);
  await requireOnPurpose(tenant, accepted);
  return accepted;
}

/**
 * As `checkSubmission`; a refusal counts only against what the database has now, since other processes publish too.
 */
export async function checkFresh(
  tenant: Tenant,
  submission: Submission,
  rules: SubmissionRules,
): Promise<AcceptedPublication> {
  return judgeFresh(tenant, () => checkSubmission(tenant, submission, rules));
}

/**
 * As `checkFresh`, with the signatures of managed keys added first, where nothing but those is missing.
 *
 * @returns also what was signed, and for which roles
 * @throws also THRESHOLD_NOT_MET where more is missing; then nothing was signed
 */
export async function checkManaged(
  tenant: Tenant,
  submission: Submission,
  rules: SubmissionRules,
): Promise<{ accepted: AcceptedPublication; submission: Submission; managed: readonly string[] }> {
  const planned = await judgeFresh(tenant, () => planSubmission(tenant, submission, rules));
  const added = await managedSignatures(tenant, planned.requirements);
  const complete = { ...submission, files: withSignatures(submission.files, planned, added) };
  const accepted = await checkFresh(tenant, complete, rules);
  return { accepted, submission: complete, managed: [...added.keys()] };
}

async function judgeFresh<T>(tenant: Tenant, rule: () => Promise<T>): Promise<T> {
  const before = tenant.head?.row.serial;
  try {
    return await rule();
  } catch (error) {
    await tenant.catchUp();
    // Somebody else may have caught up while the check was under way: what counts is where it began.
    if (tenant.head?.row.serial === before) throw error;
    return rule();
  }
}
