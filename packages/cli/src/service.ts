/** The service's write interface as one person or program uses it: requests out, parsed answers or coded errors back. */
import {
  anchorStateSchema,
  auditKeysSchema,
  auditPageSchema,
  checkpointListSchema,
  detachedAnchorSchema,
  proposalListSchema,
  proposalProgressSchema,
  proposalSchema,
  publicationSchema,
  roleVersionListSchema,
  tenantGrantListSchema,
  tenantGrantSchema,
  tenantListSchema,
  tenantSchema,
  createdTokenSchema,
  tokenListSchema,
  tokenSchema,
  managedKeySchema,
  keptFilesSchema,
  restoredTenantSchema,
  restoreSchema,
  type AnchorState,
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
  type CreatedToken,
  type CreateTokenRequest,
  type Token,
  type TokenSummary,
  type Visibility,
} from '@mandate/api';
import { tenantSlug, type TenantPath } from '@mandate/metadata';
import { CliError } from './error.ts';
import { callService, type Method, type Schema, type ServiceLogin } from './service-call.ts';

/** More proposals than this are not listed. */
const maxListed = 1_000;

function tenantAddress(tenant: TenantPath): string {
  return `/v1/tenants/${encodeURIComponent(tenantSlug(tenant))}`;
}

function proposalsPath(tenant: TenantPath): string {
  return `${tenantAddress(tenant)}/proposals`;
}

/** An answer without a body. */
const nothing: Schema<undefined> = { safeParse: () => ({ success: true, data: undefined }) };

export class Service {
  readonly url: string;
  readonly #token: ServiceLogin['token'];

  constructor({ url, token }: ServiceLogin) {
    this.url = url;
    this.#token = token;
  }

  whoAmI(): Promise<Token> {
    return this.#call('GET', '/v1/tokens/self', tokenSchema);
  }

  createToken(request: CreateTokenRequest): Promise<CreatedToken> {
    return this.#call('POST', '/v1/tokens', createdTokenSchema, request);
  }

  /** Those that the caller made, or as operator all. */
  async tokens(): Promise<readonly TokenSummary[]> {
    const found: TokenSummary[] = [];
    for (let after = ''; ;) {
      const { tokens, next } = await this.#call('GET', `/v1/tokens${after}`, tokenListSchema);
      found.push(...tokens);
      if (next === undefined || tokens.length === 0) return found;
      after = `?after=${encodeURIComponent(next)}`;
    }
  }

  async deleteToken(id: string): Promise<void> {
    await this.#call('DELETE', `/v1/tokens/${encodeURIComponent(id)}`, nothing);
  }

  createTenant(path: TenantPath, more: Omit<CreateTenantRequest, 'path'> = {}): Promise<Tenant> {
    return this.#call('POST', '/v1/tenants', tenantSchema, { path, ...more });
  }

  setVisibility(tenant: TenantPath, visibility: Visibility): Promise<Tenant> {
    return this.#call('POST', `${tenantAddress(tenant)}/visibility`, tenantSchema, { visibility });
  }

  anchorState(child: TenantPath): Promise<AnchorState> {
    return this.#call('GET', `${tenantAddress(child)}/anchor`, anchorStateSchema);
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
    return this.#call('POST', `${tenantAddress(tenant)}/managed-keys`, managedKeySchema, { role });
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
    const query = before === undefined ? '' : `?before=${before}`;
    const path = `${tenantAddress(tenant)}/roles/${encodeURIComponent(role)}/versions${query}`;
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

  #call<T>(method: Method, path: string, schema: Schema<T>, body?: object): Promise<T> {
    return callService({ url: this.url, token: this.#token }, method, path, schema, body);
  }
}
