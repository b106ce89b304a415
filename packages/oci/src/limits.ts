/** Every bound of this package in one place. Callers may set the ones that {@link RegistryLimits} names. */

export interface RegistryLimits {
  /** Largest manifest read or written, in bytes. Registries must take 4 MiB (OCI distribution 1.1). */
  readonly maxManifestBytes: number;
  /** Largest blob held in memory, in bytes. */
  readonly maxBlobBytes: number;
  /** Redirects followed for one request. */
  readonly maxRedirects: number;
  /** Time for one whole operation: credentials, tokens, redirects, back-off and body. */
  readonly timeoutMs: number;
  /** Attempts in all when the registry answers 429. */
  readonly maxAttempts: number;
  /** Longest single wait that a 429 may ask for; a longer one fails at once. */
  readonly maxBackOffMs: number;
}

export const defaultLimits: RegistryLimits = {
  maxManifestBytes: 4 * 1024 * 1024,
  maxBlobBytes: 64 * 1024 * 1024,
  maxRedirects: 5,
  timeoutMs: 30_000,
  maxAttempts: 4,
  maxBackOffMs: 10_000,
};

/** Names asked for in one page of a list, and bytes of such a page. */
export const listPageNames: number = 1000;
export const maxListBytes: number = 4 * 1024 * 1024;
/** Pages of one list. */
export const maxListPages: number = 10_000;
/** Children of one index. */
export const maxIndexChildren: number = 1000;
/** Body of an error answer: read this far and cut. */
export const maxErrorBytes: number = 64 * 1024;
/** Answer of a token service, in bytes. */
export const maxTokenBytes: number = 64 * 1024;
/** All response headers of one answer, in bytes. */
export const maxHeaderBytes: number = 16 * 1024;
/** A docker `config.json`, in bytes. */
export const maxConfigBytes: number = 1024 * 1024;
/** Output of a credential helper, in bytes. */
export const maxHelperBytes: number = 64 * 1024;
/** Time for a credential helper, which may have to ask a person. */
export const helperTimeoutMs: number = 30_000;
/** A token is held no longer than this, whatever the service says. */
export const maxTokenLifetimeMs: number = 3_600_000;
