/** Every setting of the canary. docs/canary.md has the table. */
import type { Digest } from '@mandate/metadata';
import type { ServerConfig } from '../config.ts';

/** A tenant to check; without a genesis the first root is taken as it is served. */
export interface CanaryTenant {
  readonly slug: string;
  readonly genesis: Digest | undefined;
}

export interface CanaryConfig {
  /** `http://host:port`, no slash at the end. */
  readonly url: string;
  /** Of an operator, or of a reader of the tenants; asked for again with every request. */
  readonly token: () => Promise<string>;
  /** Empty: every tenant that the token may read. Otherwise those alone. */
  readonly tenants: readonly CanaryTenant[];
  /** Where floors and cursors are kept between rounds and starts. */
  readonly stateFolder: string;
  /** Between two rounds over a random sample. */
  readonly intervalMs: number;
  /** Between two looks at the feed. */
  readonly feedPollMs: number;
  /** For tuf-js over one tenant, once. */
  readonly checkBudgetMs: number;
  /** A round begins no check after it; what was published takes at most half of it. */
  readonly roundBudgetMs: number;
  /** Random tenants in a round. */
  readonly tenantsPerRound: number;
  /** Paths of a tenant that its role files list, asked in one check; a few that are not listed come with them. */
  readonly pathsPerTenant: number;
  /** The share of checks that begin from the first root, as a new reader does, and not from what was kept. */
  readonly newReaderShare: number;
  /** Before a difference is looked at once more: longer than one process of the service is behind another. */
  readonly confirmMs: number;
  /** For one request to the service. */
  readonly requestTimeoutMs: number;
  /** Of the endpoint for metrics and health; undefined: there is none. 0 takes a free port. */
  readonly port: number | undefined;
  readonly host: string;
  readonly webhook: CanaryWebhook | undefined;
  readonly logLevel: ServerConfig['logLevel'];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** From 0 to below 1. */
  readonly random: () => number;
}

export interface CanaryWebhook {
  readonly url: string;
  readonly secret: Uint8Array;
  /** It may be an internal address, and without TLS. */
  readonly allowInternal: boolean;
}

export const defaultCanaryConfig: Omit<CanaryConfig, 'url' | 'token'> = {
  tenants: [],
  stateFolder: './mandate-canary',
  intervalMs: 60_000,
  feedPollMs: 2_000,
  checkBudgetMs: 30_000,
  roundBudgetMs: 300_000,
  tenantsPerRound: 10,
  pathsPerTenant: 8,
  newReaderShare: 0.25,
  confirmMs: 2_000,
  requestTimeoutMs: 10_000,
  port: undefined,
  host: '127.0.0.1',
  webhook: undefined,
  logLevel: 'info',
  now: Date.now,
  random: Math.random,
};
