/** Who did something, and with what credential: as the audit log has it. */
import type { Caller } from './token.ts';

export interface Principal {
  /** `service`: by itself, or on behalf of its configuration. */
  readonly credential: 'token' | 'oidc' | 'service';
  /** Token id, or issuer and subject. */
  readonly id?: string;
  /** What a token was called when it was made: for people, and no identity. */
  readonly label?: string;
}

export const theService: Principal = { credential: 'service' };

export function describe({ tokenId, label }: Caller): Principal {
  return { credential: 'token', id: tokenId, label };
}

const tokenForm = /^[0-9a-f]{16}$/;

/** Of an actor as it is stored with a proposal; null is the service itself. */
export function storedPrincipal(actor: string | null, label?: string | null): Principal {
  if (actor === null) return theService;
  const credential = tokenForm.test(actor) ? 'token' : 'oidc';
  return { credential, id: actor, ...(label === undefined || label === null ? {} : { label }) };
}
