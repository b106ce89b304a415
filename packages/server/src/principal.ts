/** Who did something, and with what credential: as the audit log has it. */
import type { CallerKind } from '@mandate/api';
import type { Caller } from './caller.ts';

export interface Principal {
  /** `service`: by itself, or on behalf of its configuration. */
  readonly credential: CallerKind | 'service';
  /** Token id, or issuer and subject: `oidc:<issuer>#<subject>`, `registry:<issuer>#<subject>`. */
  readonly id?: string;
  /** What a token was called when it was made: for people, and no identity. */
  readonly label?: string;
}

export const theService: Principal = { credential: 'service' };

export function describe({ kind, tokenId, label }: Caller): Principal {
  // Of an issuer's tokens the id says it all.
  return { credential: kind, id: tokenId, ...(kind === 'token' ? { label } : {}) };
}

const tokenForm = /^[0-9a-f]{16}$/;

/** Of an actor as it is stored with a proposal; null is the service itself. */
export function storedPrincipal(actor: string | null, label?: string | null): Principal {
  if (actor === null) return theService;
  const issued = actor.startsWith('registry:') ? 'registry' : 'oidc';
  const credential = tokenForm.test(actor) ? 'token' : issued;
  return { credential, id: actor, ...(label === undefined || label === null ? {} : { label }) };
}
