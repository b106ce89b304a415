/** Every setting, read once at the start. The table in docs/server.md has the same rows in the same order. */
import { readFileSync } from 'node:fs';
import { beginRestoreRequestSchema } from '@mandate/api';
import {
  defaultKeyFolder,
  parseSealingKeys,
  passphraseFrom,
  type KeyAlgorithm,
  type OpenOptions,
  type SealingKeys,
} from '@mandate/signing';
import { ServerError } from './error.ts';
import { exampleKeys } from './example-key.ts';
import { parseKeyPlaces, sealedPlaces, type KeyPlaces } from './key-place.ts';
import { readIssuers, type TrustedIssuer } from './issuer.ts';
import { isProxyRange, type RequestLimitSettings } from './request-limit.ts';
import { isToken } from './token.ts';

export interface ServerConfig extends RequestLimitSettings {
  /** 0 takes a free one. */
  readonly port: number;
  readonly host: string;
  /** Without it: the embedded database in `<dataFolder>/db`. */
  readonly databaseUrl?: string | undefined;
  readonly dataFolder: string;
  /** They seal the online keys; without them, embedded: generated into the data folder. */
  readonly sealingKeys?: SealingKeys | undefined;
  /** Where the keys of the service are held. */
  readonly keyPlaces: KeyPlaces;
  /** Of keys that are made in a token. */
  readonly keyAlgorithm: KeyAlgorithm;
  /** Where PINs and passphrases of such keys come from. */
  readonly keyAccess: OpenOptions;
  /** For one signature by a key that is held elsewhere. */
  readonly signerTimeoutMs: number;
  /** `mdt_<id>_<secret>`, an operator from the start; without it, embedded: generated into the data folder. */
  readonly operatorToken?: string | undefined;
  /** URI of the key that signs audit checkpoints; without it: one is made and stored sealed. */
  readonly auditKey?: string | undefined;
  /** What the URI's backend may ask for, such as `MANDATE_PIN_FILE`. */
  readonly keyEnvironment?: Environment | undefined;
  /** Names the restore from a backup that this database comes from: begun once for each name. */
  readonly restored?: string | undefined;
  /** Where the high-water mark of the database is kept; embedded: in the data folder. */
  readonly stateFile?: string | undefined;
  readonly stateMs: number;
  readonly production: boolean;
  /** Thumbprints of keys that anyone has: production refuses them. */
  readonly exampleKeys: ReadonlySet<string>;
  /** Where clients reach the service, for links in answers; without it, the address it listens on. */
  readonly publicUrl?: string | undefined;
  readonly logLevel: 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug';
  readonly poolSize: number;
  readonly statementTimeoutMs: number;
  /** Bytes of files kept in memory for reading. */
  readonly cacheBytes: number;
  /** How far this process may be behind a publication through another one, when reading. */
  readonly stalenessMs: number;
  /** The smallest maximum age that this deployment advertises; timestamps are issued four times as often. */
  readonly maxAgeMs: number;
  readonly timestampLifetimeMs: number;
  readonly snapshotLifetimeMs: number;
  readonly headersTimeoutMs: number;
  /** For a whole request to arrive. */
  readonly requestTimeoutMs: number;
  /** For requests under way when the service is told to stop. */
  readonly stopTimeoutMs: number;
  /** How long a leader that died keeps others from a tenant. */
  readonly leaseMs: number;
  /** Publications that share a snapshot and a timestamp, at most. */
  readonly groupSize: number;
  /** How often proposals are looked at: what expired, what was overtaken, what is complete and not live yet. */
  readonly proposalSweepMs: number;
  /** How often checkpoints of the audit logs are signed, where there is something new. */
  readonly checkpointMs: number;
  /** How long a file other than a root is kept once it was superseded, and how often that is looked at. */
  readonly keepSupersededMs: number;
  readonly pruneMs: number;
  /** How often expiries are looked at. */
  readonly roleExpiryCheckMs: number;
  /** Days before an expiry at which there is a warning; one more once it is over. */
  readonly expiryWarningDays: readonly number[];
  /** From a change to its event: many share one transaction. */
  readonly feedDelayMs: number;
  /** How often a process looks for events that nobody told it of. */
  readonly feedPollMs: number;
  /** How long events are kept. */
  readonly feedRetentionMs: number;
  /** Between two signs of life on a stream. */
  readonly feedHeartbeatMs: number;
  /** Readers that wait for a feed at the same time: of one token, and of one process. */
  readonly feedReadersPerToken: number;
  readonly feedReaders: number;
  /** Webhooks may go to internal addresses, and without TLS. */
  readonly webhookInternal: boolean;
  /** For one attempt. */
  readonly webhookTimeoutMs: number;
  /** How long a process that died keeps others from a webhook; longer than an attempt. */
  readonly webhookLeaseMs: number;
  /** Before the second attempt; doubled with each, up to an hour. */
  readonly webhookRetryMs: number;
  /** A webhook whose event fails for so long is disabled. */
  readonly webhookGiveUpMs: number;
  /** Whose tokens are taken besides our own. */
  readonly issuers: readonly TrustedIssuer[];
  /** Metrics for anyone: they tell how busy all tenants are together. */
  readonly openMetrics: boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const minute = 60_000;

export const defaultConfig: ServerConfig = {
  port: 8080,
  host: '127.0.0.1',
  dataFolder: './mandate-data',
  keyPlaces: sealedPlaces,
  keyAlgorithm: 'ed25519',
  keyAccess: { keyFolder: defaultKeyFolder({}), passphrase: passphraseFrom({}) },
  signerTimeoutMs: 10_000,
  stateMs: 5_000,
  production: false,
  exampleKeys,
  logLevel: 'info',
  poolSize: 10,
  statementTimeoutMs: 10_000,
  cacheBytes: 134_217_728,
  stalenessMs: 250,
  maxAgeMs: 60 * minute,
  timestampLifetimeMs: 24 * 60 * minute,
  snapshotLifetimeMs: 7 * 24 * 60 * minute,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
  stopTimeoutMs: 10_000,
  leaseMs: 3_000,
  groupSize: 64,
  proposalSweepMs: 5_000,
  checkpointMs: minute,
  keepSupersededMs: 90 * 24 * 60 * minute,
  pruneMs: 60 * minute,
  roleExpiryCheckMs: 60 * minute,
  expiryWarningDays: [30, 14, 7, 3, 1],
  feedDelayMs: 100,
  feedPollMs: 1_000,
  feedRetentionMs: 30 * 24 * 60 * minute,
  feedHeartbeatMs: 15_000,
  feedReadersPerToken: 16,
  feedReaders: 1_000,
  webhookInternal: false,
  webhookTimeoutMs: 10_000,
  webhookLeaseMs: 30_000,
  webhookRetryMs: 5_000,
  webhookGiveUpMs: 5 * 24 * 60 * minute,
  issuers: [],
  openMetrics: false,
  callerRate: 6_000,
  addressRate: 12_000,
  refusalRate: 600,
  trustedProxies: [],
  now: Date.now,
};

export type Environment = Readonly<Record<string, string | undefined>>;

function wrong(name: string, expected: string): ServerError {
  return new ServerError('CONFIGURATION', `${name}: ${expected}`);
}

function integer(environment: Environment, name: string, least: number, most: number): number | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most) {
    throw wrong(name, `an integer from ${least} to ${most}`);
  }
  return value;
}

/** Days, separated by commas; the word none for no days. */
function days(environment: Environment, name: string): readonly number[] | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  if (text === 'none') return [];
  const list = text.split(',').map((one) => one.trim());
  if (list.length > 20 || !list.every((one) => /^[1-9][0-9]{0,3}$/.test(one))) {
    throw wrong(name, 'days from 1 to 9999, separated by commas, or none');
  }
  return list.map(Number);
}

function flag(environment: Environment, name: string): boolean | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  if (text === '1' || text === 'true') return true;
  if (text === '0' || text === 'false') return false;
  throw wrong(name, 'true or false');
}

/** From the variable or from the file that `<name>_FILE` names. */
function secret(environment: Environment, name: string): string | undefined {
  const file = environment[`${name}_FILE`];
  if (file === undefined || file === '') return environment[name] || undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new ServerError('CONFIGURATION', `${name}_FILE: the file cannot be read`, { cause: error });
  }
}

function label(environment: Environment, name: string): string | undefined {
  const text = environment[name] || undefined;
  if (text !== undefined && !beginRestoreRequestSchema.safeParse({ label: text }).success)
    throw wrong(name, 'a name for this restore, such as 2026-11-22: letters, digits, ".", "_", ":", "-"');
  return text;
}

function sealingKeys(environment: Environment, name: string): SealingKeys | undefined {
  const text = secret(environment, name);
  if (text === undefined) return undefined;
  try {
    return parseSealingKeys(text);
  } catch (error) {
    throw new ServerError('CONFIGURATION', `${name}: 43 base64url characters, the current key first`, {
      cause: error,
    });
  }
}

function operatorToken(environment: Environment, name: string): string | undefined {
  const text = secret(environment, name);
  if (text !== undefined && !isToken(text))
    throw wrong(name, 'mdt_<16 hex digits>_<43 base64url characters>');
  return text;
}

function url(environment: Environment, name: string, protocols: readonly string[]): string | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw wrong(name, `a URL with ${protocols.join(' or ')}`);
  }
  return text;
}

export function databaseUrlOf(environment: Environment): string | undefined {
  return url(environment, 'DATABASE_URL', ['postgres:', 'postgresql:']);
}

function oneOf<T extends string>(environment: Environment, name: string, words: readonly T[]): T | undefined {
  const text = environment[name];
  if (text === undefined || text === '') return undefined;
  const word = words.find((one) => one === text);
  if (word === undefined) throw wrong(name, `one of ${words.join(', ')}`);
  return word;
}

const keyAlgorithms = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'] as const;

function issuers(environment: Environment, name: string): TrustedIssuer[] {
  const path = environment[name];
  return path === undefined || path === '' ? [] : readIssuers(path);
}

function proxies(environment: Environment, name: string): string[] {
  const ranges = (environment[name] ?? '').split(',').map((range) => range.trim());
  const named = ranges.filter((range) => range !== '');
  if (!named.every(isProxyRange))
    throw wrong(name, 'addresses or networks (10.0.0.0/8), separated by commas');
  return named;
}

const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug'] as const;

/** What is absent gets its default. @throws ServerError CONFIGURATION, naming the variable and never its value. */
export function configFrom(environment: Environment): ServerConfig {
  const seconds = (name: string, most: number): number | undefined => {
    const value = integer(environment, name, 1, most);
    return value === undefined ? undefined : value * 1000;
  };
  const config: ServerConfig = {
    ...defaultConfig,
    port: integer(environment, 'PORT', 0, 65_535) ?? defaultConfig.port,
    host: environment['HOST'] || defaultConfig.host,
    databaseUrl: databaseUrlOf(environment),
    dataFolder: environment['MANDATE_DATA'] || defaultConfig.dataFolder,
    sealingKeys: sealingKeys(environment, 'MANDATE_SEALING_KEY'),
    keyPlaces: parseKeyPlaces(environment['MANDATE_ONLINE_KEYS'] ?? '', 'MANDATE_ONLINE_KEYS'),
    keyAlgorithm:
      oneOf(environment, 'MANDATE_ONLINE_KEY_ALGORITHM', keyAlgorithms) ?? defaultConfig.keyAlgorithm,
    keyAccess: { keyFolder: defaultKeyFolder(environment), passphrase: passphraseFrom(environment) },
    signerTimeoutMs: seconds('MANDATE_SIGNER_TIMEOUT', 120) ?? defaultConfig.signerTimeoutMs,
    operatorToken: operatorToken(environment, 'MANDATE_OPERATOR_TOKEN'),
    auditKey: environment['MANDATE_AUDIT_KEY'] || undefined,
    keyEnvironment: environment['MANDATE_AUDIT_KEY'] ? environment : undefined,
    production: flag(environment, 'MANDATE_PRODUCTION') ?? defaultConfig.production,
    restored: label(environment, 'MANDATE_RESTORED'),
    stateFile: environment['MANDATE_STATE_FILE'] || undefined,
    publicUrl: url(environment, 'MANDATE_PUBLIC_URL', ['http:', 'https:']),
    logLevel: oneOf(environment, 'MANDATE_LOG_LEVEL', logLevels) ?? defaultConfig.logLevel,
    poolSize: integer(environment, 'MANDATE_POOL_SIZE', 2, 200) ?? defaultConfig.poolSize,
    cacheBytes: integer(environment, 'MANDATE_CACHE_BYTES', 1_048_576, 2 ** 40) ?? defaultConfig.cacheBytes,
    maxAgeMs: seconds('MANDATE_MAX_AGE', 30 * 86_400) ?? defaultConfig.maxAgeMs,
    timestampLifetimeMs:
      seconds('MANDATE_TIMESTAMP_LIFETIME', 365 * 86_400) ?? defaultConfig.timestampLifetimeMs,
    snapshotLifetimeMs:
      seconds('MANDATE_SNAPSHOT_LIFETIME', 365 * 86_400) ?? defaultConfig.snapshotLifetimeMs,
    checkpointMs: seconds('MANDATE_CHECKPOINT_INTERVAL', 86_400) ?? defaultConfig.checkpointMs,
    keepSupersededMs:
      seconds('MANDATE_KEEP_SUPERSEDED', 100 * 365 * 86_400) ?? defaultConfig.keepSupersededMs,
    requestTimeoutMs: seconds('MANDATE_REQUEST_TIMEOUT', 3_600) ?? defaultConfig.requestTimeoutMs,
    stopTimeoutMs: seconds('MANDATE_STOP_TIMEOUT', 3_600) ?? defaultConfig.stopTimeoutMs,
    expiryWarningDays: days(environment, 'MANDATE_EXPIRY_WARNINGS') ?? defaultConfig.expiryWarningDays,
    feedRetentionMs: seconds('MANDATE_FEED_RETENTION', 10 * 366 * 86_400) ?? defaultConfig.feedRetentionMs,
    webhookInternal: flag(environment, 'MANDATE_WEBHOOK_INTERNAL') ?? defaultConfig.webhookInternal,
    webhookGiveUpMs: seconds('MANDATE_WEBHOOK_GIVE_UP', 366 * 86_400) ?? defaultConfig.webhookGiveUpMs,
    issuers: issuers(environment, 'MANDATE_ISSUERS_FILE'),
    openMetrics: flag(environment, 'MANDATE_OPEN_METRICS') ?? defaultConfig.openMetrics,
    callerRate: integer(environment, 'MANDATE_CALLER_RATE', 0, 10_000_000) ?? defaultConfig.callerRate,
    addressRate: integer(environment, 'MANDATE_ADDRESS_RATE', 0, 10_000_000) ?? defaultConfig.addressRate,
    refusalRate: integer(environment, 'MANDATE_REFUSAL_RATE', 0, 10_000_000) ?? defaultConfig.refusalRate,
    trustedProxies: proxies(environment, 'MANDATE_TRUSTED_PROXIES'),
  };
  if (config.databaseUrl !== undefined && config.sealingKeys === undefined) {
    throw wrong('MANDATE_SEALING_KEY', 'is needed with DATABASE_URL; every process needs the same one');
  }
  if (
    config.timestampLifetimeMs < config.maxAgeMs ||
    config.snapshotLifetimeMs < config.timestampLifetimeMs
  ) {
    throw wrong(
      'MANDATE_TIMESTAMP_LIFETIME',
      'at least MANDATE_MAX_AGE, and at most MANDATE_SNAPSHOT_LIFETIME',
    );
  }
  // A reader may hold a timestamp until it expires, and ask for what it leads to.
  if (config.keepSupersededMs < config.timestampLifetimeMs)
    throw wrong('MANDATE_KEEP_SUPERSEDED', 'at least MANDATE_TIMESTAMP_LIFETIME');
  if (config.webhookGiveUpMs >= config.feedRetentionMs) {
    throw wrong('MANDATE_FEED_RETENTION', 'more than MANDATE_WEBHOOK_GIVE_UP');
  }
  return config;
}
