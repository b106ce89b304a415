/** The verifier's own rules: what it asks for beyond what the tenant's owners signed. */

export interface Policy {
  /** How long ago the newest timestamp may have been issued, milliseconds. Undefined: until it expires. */
  readonly maxAgeMs?: number | undefined;
  /** Distinct keys that must have signed the role that vouches, whatever its own threshold. */
  readonly minThreshold?: number | undefined;
  /** `pinned`: the root is pinned here, by file or genesis, and not found through a parent tenant. */
  readonly rootFrom?: 'pinned' | undefined;
  /**
   * Whether signatures count that were made with keys which the service holds (`allow` by default). With `refuse` a
   * role needs its threshold without them.
   */
  readonly managed?: 'allow' | 'refuse' | undefined;
  /**
   * Whether stored metadata may answer, for as long as it is unexpired: `never` (default), only `when-unreachable`, or
   * `always`, which asks no repository at all.
   */
  readonly offline?: 'never' | 'when-unreachable' | 'always' | undefined;
}
