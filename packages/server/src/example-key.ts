/** Keys whose private halves are in the repository, under keys-example/: good for trying things out, never for more. */
import type { KeyId, PublicKey, Root, Targets } from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { TenantRegistry } from './tenant-registry.ts';

/** Thumbprints of every key in keys-example/: the same key counts under whatever id and spelling. */
export const exampleKeys: ReadonlySet<string> = new Set<string>([
  'q9WbhqUbxX0EzTgz0krp68XG2aZ9AeO8bsTaeR-OY-o',
  'fmU8XeBUNV7Cec_ok26Ifl_APHeshaJCv5NacOA02gI',
  'FmkMfast6i5U52WrkKXOBsJvT7miUiEV9fyDrRcPbIc',
]);

/** Their ids: databases that were written to by earlier versions list keys by id. */
export const exampleKeyIds: readonly string[] = [
  '499136b8728de90deecf5ae0f9514316797da05075cd03a376cc1b144993790e',
  'fec3d77f35f590d2d6b7fc3d0d274fa54bd1dca9316e7c173aec0e3b997ad2f6',
  '074bc590fecd2713d28c13ddc714669f3d5ae66a2ec74c7dd4642419bd0a11ad',
];

/** The keys that a file gives to other roles. */
export function keysNamedIn(file: Root | Targets): ReadonlyMap<KeyId, PublicKey> {
  return 'keys' in file ? file.keys : (file.delegations?.keys ?? new Map<KeyId, PublicKey>());
}

/** @throws ServerError FORBIDDEN where a new file names an example key. */
export function requireNoExampleKey(role: string, file: Root | Targets, examples: ReadonlySet<string>): void {
  for (const [keyId, { thumbprint }] of keysNamedIn(file)) {
    if (examples.has(thumbprint)) {
      throw new ServerError(
        'FORBIDDEN',
        `role ${role} names example key ${keyId}, which anyone has; use a key of your own`,
        {
          role,
        },
      );
    }
  }
}

/**
 * Looks closer at tenants that have named an example key.
 *
 * @throws ServerError EXAMPLE_KEY_IN_USE where one is still named by a current file.
 */
export async function requireNoExampleKeyInUse(
  registry: TenantRegistry,
  slugs: readonly string[],
  examples: ReadonlySet<string>,
): Promise<void> {
  for (const slug of slugs) {
    const open = await registry.find(slug);
    for (const [role, file] of (await open?.tenant.delegatingFiles()) ?? []) {
      for (const [keyId, { thumbprint }] of keysNamedIn(file)) {
        if (!examples.has(thumbprint)) continue;
        throw new ServerError(
          'EXAMPLE_KEY_IN_USE',
          `tenant ${open?.tenant.path}, role ${role}, names example key ${keyId}, which anyone has: replace it before ` +
            'running in production mode',
          { role },
        );
      }
    }
  }
}
