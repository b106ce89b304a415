/** Limits on what the API takes. Sizes in bytes. The limits of the files themselves are those of `@mandate/metadata`. */
export const apiLimits = {
  /** The whole body of a publication. */
  publicationBytes: 33_554_432,
  /** Every other body. */
  bodyBytes: 65_536,
  /** The body of a detached anchor: the file's text, which JSON may make longer. */
  anchorBytes: 300_000,
  /** Metadata files in one publication. */
  publicationFiles: 4_200,
  /** Target files in one publication. */
  publicationTargets: 256,
  /** One target file that the service stores: a policy, an anchor's root. */
  targetBytes: 1_048_576,
  /** The body of a request with signatures for a proposal. */
  signaturesBytes: 8_388_608,
  /** Signatures in one request. */
  proposalSignatures: 8_400,
  /** One signature, hex digits. */
  signatureLength: 4_096,
  /** Text that goes with a proposal. */
  messageLength: 2_000,
  /** Proposals of a tenant that are open at a time. */
  openProposals: 256,
  /** Files of all open proposals of a tenant. */
  openProposalBytes: 268_435_456,
  /** How long a proposal collects signatures unless it says so, and at most. */
  proposalDefaultSeconds: 1_209_600,
  proposalSeconds: 31_622_400,
  /** Proposals in one answer. */
  proposalPage: 256,
  /** Records of the audit log in one answer, and their bytes together, more only where one record has more. */
  auditPage: 1_000,
  auditPageBytes: 4_194_304,
  /** Checkpoints, and versions of a role, in one answer. */
  checkpointPage: 100,
  versionPage: 200,
  /** Events in one answer of a feed. */
  feedPage: 100,
  /** Roles that a publication's event lists. */
  feedRoles: 100,
  /** How long a reader of a feed may ask to wait. */
  feedWaitSeconds: 60,
  /** Webhooks of a tenant, and of the operator. */
  webhooks: 16,
  webhookUrlLength: 2_000,
  /** Managed keys of a tenant. */
  managedKeys: 256,
  /** Tenants in one answer about a restore. */
  restorePage: 500,
  /** Tokens in one answer. */
  tokenPage: 200,
  /** The label of a token. */
  labelLength: 100,
  /** An issuer, a subject or a claim's value in a grant. */
  ruleTextLength: 512,
  /** Claims that one grant names. */
  ruleClaims: 16,
  /** Grants of one tenant. */
  tenantGrants: 1_000,
} as const;
