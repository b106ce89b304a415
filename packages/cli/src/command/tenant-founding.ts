/** What a new tenant begins with: keys and thresholds of root and targets, a place on the service, its first files. */
import type { Command } from 'commander';
import { keyIdOf, type KeySet, type RoleKeys, type TenantPath } from '@mandate/metadata';
import type { CreateTenantRequest, OnlineKeys } from '@mandate/api';
import { parseDuration } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import type { Keyring } from '../keyring.ts';
import { collect } from '../option.ts';
import type { Service } from '../service.ts';
import { newTenant, type NewTenant } from '../signer/new-tenant.ts';
import { roleLifetime } from '../signer/session.ts';

/** A root is signed by hand and rarely: it is good for long. */
export const rootLifetime = '10y';

export interface FoundingOptions {
  readonly key?: readonly string[];
  readonly rootKey?: readonly string[];
  readonly targetsKey?: readonly string[];
  readonly rootThreshold?: string;
  readonly targetsThreshold?: string;
  readonly expires?: string;
  readonly rootExpires?: string;
  readonly private?: boolean;
  readonly withoutParent?: boolean;
}

export function addFoundingOptions(command: Command): Command {
  return command
    .option('--key <key>', 'key of root and targets: a name, a file or <file>.pub.json; repeatable', collect)
    .option('--root-key <key>', 'key of root alone; may be repeated', collect)
    .option('--targets-key <key>', 'key of targets alone; may be repeated', collect)
    .option('--root-threshold <count>', 'how many keys must sign a root (default: 1)')
    .option('--targets-threshold <count>', 'how many keys must sign targets (default: 1)')
    .option('--root-expires <time>', `until when the root is good, from now (default: ${rootLifetime})`)
    .option('--expires <time>', `until when the other files are good, from now (default: ${roleLifetime})`)
    .option('--private', 'only who has a grant may read it, or learn that it is there');
}

/** The keys that are to sign root and targets, as they were named. */
export interface FoundingKeys {
  readonly root: readonly string[];
  readonly targets: readonly string[];
}

/** @throws CliError USAGE */
export function foundingKeys({ key = [], rootKey = [], targetsKey = [] }: FoundingOptions): FoundingKeys {
  const keys = { root: [...key, ...rootKey], targets: [...key, ...targetsKey] };
  if (keys.root.length > 0 && keys.targets.length > 0) return keys;
  throw usage('root and targets need keys', `mandate key generate release, then --key release`);
}

/** A threshold as an option. @throws CliError USAGE */
export function parseThreshold(text: string | undefined, keys: number): number {
  const threshold = text === undefined ? 1 : Number(text);
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > keys)
    throw usage(`a threshold is 1 to the number of keys, here ${keys}`);
  return threshold;
}

async function roleKeys(
  keyring: Keyring,
  names: readonly string[],
  threshold: string | undefined,
): Promise<RoleKeys> {
  const keys = await Promise.all([...new Set(names)].map((name) => keyring.publicKey(name)));
  return { keys, threshold: parseThreshold(threshold, keys.length) };
}

export interface FoundingRoles {
  readonly root: RoleKeys;
  readonly targets: RoleKeys;
}

/** @throws CliError USAGE; what the keys say */
export async function foundingRoles(
  names: FoundingKeys,
  options: FoundingOptions,
  keyring: Keyring,
): Promise<FoundingRoles> {
  return {
    root: await roleKeys(keyring, names.root, options.rootThreshold),
    targets: await roleKeys(keyring, names.targets, options.targetsThreshold),
  };
}

export function keySetOf({ keys, threshold }: RoleKeys): KeySet {
  return { keys: new Map(keys.map((key) => [keyIdOf(key), key])), threshold };
}

/**
 * The place of the tenant on the service, with the keys that it will sign snapshots and timestamps with. The service gives
 * the same ones again for as long as there is no root.
 *
 * @throws CliError EXISTS
 */
async function reserve(
  service: Service,
  tenant: TenantPath,
  more: Omit<CreateTenantRequest, 'path'>,
): Promise<OnlineKeys> {
  try {
    return (await service.createTenant(tenant, more)).onlineKeys;
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'CONFLICT') throw error;
    const next = `if it is yours: mandate trust add ${tenant} --url ${service.url} --genesis <digest>`;
    throw new CliError('EXISTS', error.message, { cause: error, next });
  }
}

/** @param now milliseconds since the epoch */
export async function found(
  service: Service,
  tenant: TenantPath,
  roles: FoundingRoles,
  options: FoundingOptions,
  now: number,
): Promise<NewTenant> {
  const { rootExpires = rootLifetime, expires = roleLifetime } = options;
  const online = await reserve(service, tenant, {
    ...(options.private === true ? { visibility: 'private' } : {}),
    ...(options.withoutParent === true ? { withoutParent: true } : {}),
  });
  return newTenant(
    { ...roles, online },
    { root: now + parseDuration(rootExpires), roles: now + parseDuration(expires) },
  );
}
