/** What a registry may be shown, and where it comes from. Secrets stay wrapped until a request is made. */
import type { RegistryHost } from './registry-host.ts';
import type { Secret } from './secret.ts';

/** A user with a password, or an identity token: a refresh token that only a token service takes. */
export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: Secret }
  | { readonly kind: 'identity-token'; readonly token: Secret };

/**
 * Finds the credentials for one registry; undefined means anonymous.
 *
 * @throws OciError `CREDENTIALS_FAILED`
 */
export type CredentialSource = (
  registry: RegistryHost,
  signal?: AbortSignal,
) => Promise<Credentials | undefined>;

/** Never any credentials. */
export const anonymous: CredentialSource = () => Promise.resolve(undefined);
