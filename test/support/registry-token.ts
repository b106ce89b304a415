/** Bearer tokens as the token service of a docker registry signs them (Distribution token authentication). */
import { SignJWT } from 'jose';
import type { TestCertificate } from './certificate.ts';

export interface RegistryTokenIssuer {
  readonly certificate: TestCertificate;
  readonly issuer: string;
  /** What registries call the service: the audience. */
  readonly service: string;
}

/** @param scopes `repository:acme/labs/tool:pull,push` */
export function registryToken(
  { certificate, issuer, service }: RegistryTokenIssuer,
  scopes: readonly string[],
  subject = 'robot',
): Promise<string> {
  const access = scopes.map((scope) => {
    const [type, name, actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  return new SignJWT({ access })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', x5c: [certificate.certificateBase64] })
    .setIssuer(issuer)
    .setAudience(service)
    .setSubject(subject)
    .setIssuedAt()
    .setNotBefore('10s ago')
    .setExpirationTime('5m')
    .setJti(crypto.randomUUID())
    .sign(certificate.privateKey);
}
