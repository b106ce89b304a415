/**
 * The configuration of a verifier: which tenants it trusts, from which root, where their metadata is, and which image
 * names are theirs. Names in metadata carry no host; only this maps hosts and prefixes to tenants.
 */
import {
  isObject,
  member,
  MetadataError,
  parseDigest,
  parseJson,
  parseRepository,
  parseTenantPath,
  type Digest,
  type JsonObject,
  type JsonValue,
  type Repository,
  type TenantPath,
} from '@mandate/metadata';
import { ClientError } from './error.ts';

export interface TrustedTenant {
  readonly tenant: TenantPath;
  /** The folder that holds `timestamp.json`. */
  readonly metadataUrl: string;
  /** The pin: hash of root version 1, or a root file, relative to the configuration file. */
  readonly pin: { readonly genesis: Digest } | { readonly rootFile: string };
  /** `host[:port][/path]`: names below are this tenant's. */
  readonly prefixes: readonly string[];
  /** Origins besides its own, `https://host[:port]`, where the tenants below it may be whatever their address is. */
  readonly origins?: readonly string[] | undefined;
  /** A tenant above, trusted too, whose anchors must lead to the same tenant and the same answer. */
  readonly above?: TenantPath | undefined;
}

export interface TrustConfig {
  readonly tenants: readonly TrustedTenant[];
}

/** What an image name stands for. */
export interface ResolvedName {
  readonly tenant: TrustedTenant;
  readonly repository: Repository;
}

function invalid(message: string, cause?: unknown): ClientError {
  return new ClientError('NO_TRUST_ROOT', 'CONFIGURATION', `trust configuration: ${message}`, { cause });
}

function requireMembers(object: JsonObject, known: readonly string[], where: string): void {
  const unknown = Object.keys(object).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(`${where}: unknown member ${JSON.stringify(unknown)}`);
}

function text(object: JsonObject, name: string, where: string): string {
  const value = member(object, name);
  if (typeof value !== 'string' || value === '') throw invalid(`${where}: "${name}" is text`);
  return value;
}

const hostForm = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/** @throws ClientError NO_TRUST_ROOT/CONFIGURATION, MetadataError MALFORMED/NAME. */
function parsePrefix(prefix: JsonValue): string {
  if (typeof prefix !== 'string') throw invalid('a prefix is text');
  const [host = '', ...path] = prefix.split('/');
  if (!hostForm.test(host))
    throw invalid(`prefix ${JSON.stringify(prefix)} is host[:port][/path], without a scheme`);
  if (path.length > 0) parseRepository(path.join('/'));
  return [host.toLowerCase(), ...path].join('/');
}

const knownMembers = ['tenant', 'metadataUrl', 'genesis', 'rootFile', 'prefixes', 'origins', 'above'];

function parsePin(entry: JsonObject, where: string): TrustedTenant['pin'] {
  const genesis = member(entry, 'genesis');
  if ((genesis === undefined) === (member(entry, 'rootFile') === undefined)) {
    throw invalid(`${where}: a tenant has "genesis" or "rootFile"`);
  }
  return genesis === undefined
    ? { rootFile: text(entry, 'rootFile', where) }
    : { genesis: parseDigest(text(entry, 'genesis', where)) };
}

/** One spelling: `https://host[:port]`. @throws ClientError NO_TRUST_ROOT/CONFIGURATION. */
export function parseOrigin(value: JsonValue): string {
  const url = typeof value === 'string' ? URL.parse(value) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.origin !== value)
    throw invalid(`${JSON.stringify(value)} is not an origin, https://host[:port]`);
  return value;
}

function parseOrigins(entry: JsonObject, where: string): Pick<TrustedTenant, 'origins'> {
  const list = member(entry, 'origins');
  if (list === undefined) return {};
  if (!Array.isArray(list)) throw invalid(`${where}: "origins" is a list`);
  return { origins: (list as readonly JsonValue[]).map(parseOrigin) };
}

/** Whether `above` is somewhere above `tenant`; the registry tenant is above all others. */
export function isAbove(above: TenantPath, tenant: TenantPath): boolean {
  return above === '/' ? tenant !== '/' : tenant.startsWith(`${above}/`);
}

function parseAbove(entry: JsonObject, tenant: TenantPath): Pick<TrustedTenant, 'above'> {
  if (member(entry, 'above') === undefined) return {};
  const above = parseTenantPath(text(entry, 'above', tenant));
  if (!isAbove(above, tenant)) throw invalid(`${tenant}: "above" is a tenant above it`);
  return { above };
}

function parseTenant(entry: JsonValue): TrustedTenant {
  if (!isObject(entry)) throw invalid('a tenant is an object');
  const tenant = parseTenantPath(text(entry, 'tenant', 'a tenant'));
  requireMembers(entry, knownMembers, tenant);
  const metadataUrl = text(entry, 'metadataUrl', tenant);
  if (!/^https?:$/.test(URL.parse(metadataUrl)?.protocol ?? '')) {
    throw invalid(`${tenant}: "metadataUrl" is an http or https URL`);
  }
  const prefixes = member(entry, 'prefixes');
  if (!Array.isArray(prefixes)) throw invalid(`${tenant}: "prefixes" is a list`);
  return {
    tenant,
    metadataUrl,
    pin: parsePin(entry, tenant),
    prefixes: (prefixes as readonly JsonValue[]).map(parsePrefix),
    ...parseOrigins(entry, tenant),
    ...parseAbove(entry, tenant),
  };
}

/** The configuration of a verifier that trusts nobody yet. */
export const emptyTrust: TrustConfig = { tenants: [] };

/**
 * Reads a configuration file, strictly: an unknown member is an error, for it may be a rule that we would not keep.
 *
 * @throws ClientError NO_TRUST_ROOT/CONFIGURATION.
 */
export function parseTrust(json: string): TrustConfig {
  try {
    const { value } = parseJson(json);
    if (!isObject(value)) throw invalid('not an object');
    requireMembers(value, ['tenants'], 'the file');
    const list = member(value, 'tenants');
    if (!Array.isArray(list)) throw invalid('"tenants" is a list');
    return requireDistinct({ tenants: (list as readonly JsonValue[]).map(parseTenant) });
  } catch (cause) {
    if (cause instanceof MetadataError) throw invalid(cause.message, cause);
    throw cause;
  }
}

function requireDistinct(config: TrustConfig): TrustConfig {
  const names = config.tenants.map(({ tenant }) => tenant);
  const prefixes = config.tenants.flatMap((one) => one.prefixes);
  if (new Set(names).size !== names.length) throw invalid('one tenant is listed twice');
  if (new Set(prefixes).size !== prefixes.length) throw invalid('one prefix belongs to two tenants');
  return config;
}

/** The file that `parseTrust` reads. */
export function encodeTrust({ tenants }: TrustConfig): string {
  const list = tenants.map(({ pin, ...rest }) => ({ ...rest, ...pin }));
  return `${JSON.stringify({ tenants: list }, null, 2)}\n`;
}

/** The configuration with this tenant in it, in place of one of the same name. @throws ClientError */
export function withTenant({ tenants }: TrustConfig, added: TrustedTenant): TrustConfig {
  return requireDistinct({ tenants: [...tenants.filter(({ tenant }) => tenant !== added.tenant), added] });
}

export function withoutTenant({ tenants }: TrustConfig, removed: TenantPath): TrustConfig {
  return { tenants: tenants.filter(({ tenant }) => tenant !== removed) };
}

/**
 * Which tenant an image name belongs to: the longest prefix wins, whole segments only.
 *
 * @param name `host[:port]/path`, without tag and digest
 * @throws ClientError NO_TRUST_ROOT/NO_ROOT where no tenant has it; MetadataError MALFORMED/NAME.
 */
export function resolveName({ tenants }: TrustConfig, name: string): ResolvedName {
  const [host = '', ...path] = name.split('/');
  const full = [host.toLowerCase(), ...path].join('/');
  let best: { tenant: TrustedTenant; prefix: string } | undefined;
  for (const tenant of tenants) {
    for (const prefix of tenant.prefixes) {
      const matches = full === prefix || full.startsWith(`${prefix}/`);
      if (matches && (best === undefined || prefix.length > best.prefix.length)) best = { tenant, prefix };
    }
  }
  if (best === undefined) {
    throw new ClientError('NO_TRUST_ROOT', 'NO_ROOT', `no trusted tenant has names below ${name}`);
  }
  // A tenant owns its whole prefix: a name that is the prefix itself is no repository of a wider tenant.
  if (full === best.prefix) {
    throw new ClientError(
      'NO_TRUST_ROOT',
      'NO_ROOT',
      `${name} is a tenant's prefix and names no repository in it`,
    );
  }
  return { tenant: best.tenant, repository: parseRepository(full.slice(best.prefix.length + 1)) };
}
