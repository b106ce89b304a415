/** The service's write interface as one person or program uses it: requests out, parsed answers or coded errors back. */
import {
  auditKeysSchema,
  auditPageSchema,
  checkpointListSchema,
  detachedAnchorSchema,
  problemSchema,
  proposalListSchema,
  proposalProgressSchema,
  proposalSchema,
  publicationSchema,
  roleVersionListSchema,
  tenantGrantListSchema,
  tenantGrantSchema,
  tenantListSchema,
  tenantSchema,
  tokenSchema,
  managedKeySchema,
  keptFilesSchema,
  restoredTenantSchema,
  restoreSchema,
  type AuditChain,
  type AuditKeys,
  type AuditPage,
  type CheckpointList,
  type CreateGrantRequest,
  type CreateTenantRequest,
  type CreateProposalRequest,
  type ManagedKey,
  type KeptFiles,
  type KeptFilesRequest,
  type OnlineKeys,
  type Problem,
  type Proposal,
  type ProposalProgress,
  type ProposalSignature,
  type ProposalSummary,
  type Publication,
  type PublicationRequest,
  type Restore,
  type RestoredTenant,
  type RoleVersionList,
  type StoredAnchor,
  type Tenant,
  type TenantGrant,
  type TenantList,
  type Token,
  type Visibility,
} from '@mandate/api';
import { tenantSlug, type TenantPath } from '@mandate/metadata';
import { CliError } from './error.ts';

const timeoutMs = 60_000;
const maxAnswerBytes = 16 * 1024 * 1024;

export interface ServiceLogin {
  /** `http://host:port`, no slash at the end. */
  readonly url: string;
  /** Asked anew for each request: what CI systems hand out is good for minutes. */
  readonly token: () => Promise<string>;
}

/** More proposals than this are not listed. */
const maxListed = 1_000;

function tenantAddress(tenant: TenantPath): string {
  return `/v1/tenants/${encodeURIComponent(tenantSlug(tenant))}`;
}

function proposalsPath(tenant: TenantPath): string {
  return `${tenantAddress(tenant)}/proposals`;
}

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** As much of a schema as is needed here. */
interface Schema<T> {
  safeParse(value: unknown): { success: true; data: T } | { success: false; error: unknown };
}

/** An answer without a body. */
const nothing: Schema<undefined> = { safeParse: () => ({ success: true, data: undefined }) };

export class Service {
  readonly url: string;
  readonly #token: () => Promise<string>;

  constructor({ url, token }: ServiceLogin) {
    this.url = url;
    this.#token = token;
  }

  whoAmI(): Promise<Token> {
    return this.#call('GET', '/v1/tokens/self', tokenSchema);
  }

  createTenant(path: TenantPath, more: Omit<CreateTenantRequest, 'path'> = {}): Promise<Tenant> {
    return this.#call('POST', '/v1/tenants', tenantSchema, { path, ...more });
  }

  setVisibility(tenant: TenantPath, visibility: Visibility): Promise<Tenant> {
    return this.#call('POST', `${tenantAddress(tenant)}/visibility`, tenantSchema, { visibility });
  }

  /** @param metadata the text of the file, exactly as signed */
  putAnchor(parent: TenantPath, segment: string, metadata: string): Promise<StoredAnchor> {
    const path = `${tenantAddress(parent)}/anchors/${encodeURIComponent(segment)}`;
    return this.#call('PUT', path, detachedAnchorSchema, { metadata });
  }

  createGrant(tenant: TenantPath, grant: CreateGrantRequest): Promise<TenantGrant> {
    return this.#call('POST', `${tenantAddress(tenant)}/grants`, tenantGrantSchema, grant);
  }

  async grants(tenant: TenantPath): Promise<readonly TenantGrant[]> {
    return (await this.#call('GET', `${tenantAddress(tenant)}/grants`, tenantGrantListSchema)).grants;
  }

  async deleteGrant(tenant: TenantPath, id: string): Promise<void> {
    await this.#call('DELETE', `${tenantAddress(tenant)}/grants/${encodeURIComponent(id)}`, nothing);
  }

  /** New keys of the service for snapshot and timestamp: it signs with them once a root names them. */
  async newOnlineKeys(tenant: TenantPath): Promise<OnlineKeys> {
    const path = `${tenantAddress(tenant)}/online-keys`;
    return (await this.#call('POST', path, tenantSchema, {})).onlineKeys;
  }

  /** A key that the service holds for one role: it signs that role once a delegation names and marks the key. */
  newManagedKey(tenant: TenantPath, role: string): Promise<ManagedKey> {
    const path = `/v1/tenants/${encodeURIComponent(tenantSlug(tenant))}/managed-keys`;
    return this.#call('POST', path, managedKeySchema, { role });
  }

  listTenants(): Promise<TenantList> {
    return this.#call('GET', '/v1/tenants', tenantListSchema);
  }

  /** @throws CliError CONFLICT where somebody else was first, REFUSED, UNREACHABLE, OUTCOME_UNKNOWN */
  publish(tenant: TenantPath, publication: PublicationRequest): Promise<Publication> {
    return this.#call('POST', `${tenantAddress(tenant)}/publications`, publicationSchema, publication);
  }

  /** Undefined where the service knows of no such publication. */
  async publication(id: string): Promise<Publication | undefined> {
    try {
      return await this.#call('GET', `/v1/publications/${encodeURIComponent(id)}`, publicationSchema);
    } catch (error) {
      if (error instanceof CliError && error.serviceCode === 'NOT_FOUND') return undefined;
      throw error;
    }
  }

  /** @throws CliError CONFLICT where what it builds on is no longer current, REFUSED, UNREACHABLE, OUTCOME_UNKNOWN */
  propose(tenant: TenantPath, proposal: CreateProposalRequest): Promise<ProposalProgress> {
    return this.#call('POST', proposalsPath(tenant), proposalProgressSchema, proposal);
  }

  /** Every proposal that still collects signatures, newest first. */
  async openProposals(tenant: TenantPath): Promise<readonly ProposalSummary[]> {
    return this.#proposals(tenant, 'state=open');
  }

  /** The newest proposals, whatever became of them. */
  async latestProposals(tenant: TenantPath): Promise<readonly ProposalSummary[]> {
    return (await this.#call('GET', proposalsPath(tenant), proposalListSchema)).proposals;
  }

  async #proposals(tenant: TenantPath, query: string): Promise<readonly ProposalSummary[]> {
    const found: ProposalSummary[] = [];
    for (let before = ''; ;) {
      const path = `${proposalsPath(tenant)}?${query}${before}`;
      const { proposals, next } = await this.#call('GET', path, proposalListSchema);
      found.push(...proposals);
      if (next === undefined || found.length >= maxListed) return found;
      before = `&before=${next}`;
    }
  }

  proposal(tenant: TenantPath, number: number): Promise<Proposal> {
    return this.#call('GET', `${proposalsPath(tenant)}/${number}`, proposalSchema);
  }

  /** All are taken, or none. A signature that is there already is a success. */
  addSignatures(
    tenant: TenantPath,
    number: number,
    signatures: readonly ProposalSignature[],
  ): Promise<ProposalProgress> {
    const path = `${proposalsPath(tenant)}/${number}/signatures`;
    return this.#call('POST', path, proposalProgressSchema, { signatures });
  }

  /** Has the service sign with its managed keys, where nothing but those is missing. */
  signManaged(tenant: TenantPath, number: number): Promise<ProposalProgress> {
    const path = `${proposalsPath(tenant)}/${number}/managed-signatures`;
    return this.#call('POST', path, proposalProgressSchema, {});
  }

  withdraw(tenant: TenantPath, number: number, message: string | undefined): Promise<ProposalProgress> {
    const path = `${proposalsPath(tenant)}/${number}/withdraw`;
    return this.#call('POST', path, proposalProgressSchema, message === undefined ? {} : { message });
  }

  /** @param slug of a tenant, or `@service` */
  auditRecords(slug: string, chain: AuditChain, after: number): Promise<AuditPage> {
    const path = `/v1/tenants/${encodeURIComponent(slug)}/audit?chain=${chain}&after=${after}`;
    return this.#call('GET', path, auditPageSchema);
  }

  /** The newest checkpoints. */
  checkpoints(slug: string): Promise<CheckpointList> {
    return this.#call(
      'GET',
      `/v1/tenants/${encodeURIComponent(slug)}/audit/checkpoints`,
      checkpointListSchema,
    );
  }

  auditKeys(): Promise<AuditKeys> {
    return this.#call('GET', '/v1/audit/keys', auditKeysSchema);
  }

  /** Newest first. @param before a version: those below it */
  roleVersions(tenant: TenantPath, role: string, before: number | undefined): Promise<RoleVersionList> {
    const slug = encodeURIComponent(tenantSlug(tenant));
    const query = before === undefined ? '' : `?before=${before}`;
    const path = `/v1/tenants/${slug}/roles/${encodeURIComponent(role)}/versions${query}`;
    return this.#call('GET', path, roleVersionListSchema);
  }

  /** Of the parts of the interface that have a module of their own. @throws CliError as `publish` */
  request<T>(method: Method, path: string, schema: Schema<T>, body?: object): Promise<T> {
    return this.#call(method, path, schema, body);
  }

  /** @param after the last slug of the page before */
  restore(after: string): Promise<Restore> {
    return this.#call('GET', `/v1/restore?after=${encodeURIComponent(after)}`, restoreSchema);
  }

  beginRestore(label: string): Promise<Restore> {
    return this.#call('POST', '/v1/restore', restoreSchema, { label });
  }

  endRestore(): Promise<Restore> {
    return this.#call('POST', '/v1/restore/end', restoreSchema, {});
  }

  restored(slug: string): Promise<RestoredTenant> {
    return this.#call('GET', `/v1/restore/${encodeURIComponent(slug)}`, restoredTenantSchema);
  }

  keepFiles(slug: string, request: KeptFilesRequest): Promise<KeptFiles> {
    return this.#call('POST', `/v1/restore/${encodeURIComponent(slug)}/files`, keptFilesSchema, request);
  }

  openRestored(slug: string, acceptLoss: boolean): Promise<RestoredTenant> {
    const path = `/v1/restore/${encodeURIComponent(slug)}/open`;
    return this.#call('POST', path, restoredTenantSchema, { acceptLoss });
  }

  async #call<T>(method: Method, path: string, schema: Schema<T>, body?: object): Promise<T> {
    const response = await this.#fetch(method, path, body);
    const text = await readLimited(response).catch((cause: unknown) => {
      throw cause instanceof CliError ? cause : lost(method, this.url, cause);
    });
    if (!response.ok) throw refusal(method, this.url, response.status, text);
    const answer = schema.safeParse(parseJson(text));
    if (answer.success) return answer.data;
    throw new CliError('BAD_ANSWER', `${this.url}${path} answers what its interface does not allow`, {
      cause: answer.error,
      next: 'check that the URL is a Mandate service of this version',
    });
  }

  async #fetch(method: Method, path: string, body: object | undefined): Promise<Response> {
    const token = await this.#token();
    try {
      return await fetch(new URL(path, this.url), {
        method,
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          accept: 'application/json',
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (cause) {
      throw lost(method, this.url, cause);
    }
  }
}

/** A write whose connection broke may have been done. */
function lost(method: Method, url: string, cause: unknown): CliError {
  const refused = errnoOf(cause) === 'ECONNREFUSED';
  if (method === 'GET' || refused) {
    return new CliError('UNREACHABLE', `${url} does not answer`, {
      cause,
      next: 'check that the service runs and that the URL is right',
    });
  }
  return new CliError('OUTCOME_UNKNOWN', `${url} stopped answering`, {
    cause,
    next: 'repeat the command: what was done already counts once',
  });
}

function errnoOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? cause.code : undefined;
}

async function readLimited(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxAnswerBytes) throw new CliError('BAD_ANSWER', 'the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(method: Method, url: string, status: number, text: string): CliError {
  const problem = problemSchema.safeParse(parseJson(text));
  if (!problem.success) {
    if (method !== 'GET' && status >= 500) return lost(method, url, new Error(`answer ${status}`));
    return new CliError(status >= 500 ? 'UNREACHABLE' : 'BAD_ANSWER', `${url} answers ${status}`, {
      next: 'check that the URL is a Mandate service',
    });
  }
  return fromProblem(url, problem.data);
}

function fromProblem(url: string, { code, detail, role, status }: Problem): CliError {
  const options = { role, serviceCode: code };
  if (code === 'CONFLICT') return new CliError('CONFLICT', detail, options);
  if (code === 'UNAUTHENTICATED')
    return new CliError('NOT_LOGGED_IN', detail, {
      ...options,
      next: `mandate login ${url} --token-file <file>`,
    });
  if (code === 'READ_ONLY')
    return new CliError('REFUSED', detail, {
      ...options,
      next: 'wait for the operator, or see docs/restore.md',
    });
  // The service may have done it: it failed on the way to saying so.
  if (status >= 500) return new CliError('OUTCOME_UNKNOWN', detail, options);
  return new CliError('REFUSED', detail, options);
}
