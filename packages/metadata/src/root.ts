/** Root metadata (TUF specification 4.3): the keys of the four top-level roles. */
import { sha256Of, type Digest } from './digest.ts';
import type { Envelope } from './envelope.ts';
import { parseEnvelope } from './envelope.ts';
import { malformed } from './error.ts';
import { isObject, member } from './json.ts';
import type { KeyId, PublicKey } from './key.ts';
import { limits } from './limits.ts';
import { parseSigned, type RoleType, type Signed } from './signed.ts';
import { parseKeys, parseKeySet, type KeySet } from './threshold.ts';

export const topLevelRoles: readonly RoleType[] = ['root', 'timestamp', 'snapshot', 'targets'];

/** The wire profile that our roots name in `x-mandate-profile`. */
export const profileVersion = 1;

export interface Root extends Signed {
  readonly consistentSnapshot: boolean;
  readonly keys: ReadonlyMap<KeyId, PublicKey>;
  readonly roles: Readonly<Record<RoleType, KeySet>>;
  /** `x-mandate-profile`; undefined for a repository that somebody else made. */
  readonly profile: number | undefined;
  /** The tenant's identity: hash of root version 1; undefined outside our profile. */
  readonly genesis: Digest | undefined;
}

/** @throws MetadataError MALFORMED or LIMIT_EXCEEDED. */
export function parseRoot(bytes: Uint8Array): Root {
  return rootFrom(parseEnvelope(bytes, limits.rootBytes));
}

function rootFrom(envelope: Envelope): Root {
  const common = parseSigned(envelope, 'root');
  const { signed } = envelope;
  const consistent = member(signed, 'consistent_snapshot');
  if (consistent !== undefined && typeof consistent !== 'boolean')
    throw malformed('SHAPE', '"consistent_snapshot" is true or false');
  const keys = parseKeys(member(signed, 'keys'));
  const roles = member(signed, 'roles');
  if (!isObject(roles)) throw malformed('SHAPE', '"roles" is an object');
  const keySetOf = (name: RoleType): KeySet => {
    const role = member(roles, name);
    if (!isObject(role)) throw malformed('SHAPE', `the root does not name the role ${name}`);
    return parseKeySet(role, keys);
  };
  const profile = member(signed, 'x-mandate-profile');
  if (profile !== undefined && profile !== profileVersion) {
    throw malformed('SHAPE', `a wire profile that is not ${profileVersion}; a newer client may read it`);
  }
  if (profile !== undefined && common.version > 1 && common.tenant === undefined) {
    throw malformed('BINDING', 'the root does not name its tenant', 'root');
  }
  if (profile !== undefined && consistent !== true)
    throw malformed('LAYOUT', 'a tenant has consistent snapshots', 'root');
  return {
    ...common,
    consistentSnapshot: consistent === true,
    keys,
    roles: {
      root: keySetOf('root'),
      timestamp: keySetOf('timestamp'),
      snapshot: keySetOf('snapshot'),
      targets: keySetOf('targets'),
    },
    profile,
    genesis:
      profile === undefined
        ? undefined
        : common.version === 1
          ? sha256Of(envelope.signedBytes)
          : common.tenant,
  };
}
