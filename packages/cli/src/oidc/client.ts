/**
 * What a person logs in with: an issuer, our public client there, and what the token is for. The service's word on it is a
 * hint. A token is a thing of value wherever it is taken, so one that is good elsewhere too is asked for on the person's word
 * alone: else a hostile service could have them log in for another service and be handed the token.
 */
import type { LoginOffer } from '@mandate/api';
import { usage } from '../error.ts';

export interface OidcClient {
  readonly issuer: string;
  readonly clientId: string;
  /** What the token has to be for. */
  readonly audience: string;
  /** Besides `openid` and `offline_access`. */
  readonly scopes: readonly string[];
  /** The service takes no older token; milliseconds. Undefined: not known. */
  readonly maxTokenAgeMs: number | undefined;
}

/** What was named on the command line. */
export interface NamedClient {
  readonly issuer?: string;
  readonly clientId?: string;
  readonly audience?: string;
}

const form = /^[\x21-\x7e]{1,512}$/;

const isLoopback = ({ hostname }: URL): boolean =>
  /^(?:127(?:\.[0-9]+){3}|\[::1\]|localhost)$/.test(hostname);

/** https, or http on this machine. */
export function isSafeUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || !form.test(text) || `${url.username}${url.password}` !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));
}

/** @throws CliError USAGE where there is none, or several and none is named */
export function chooseClient(
  serviceUrl: string,
  offers: readonly LoginOffer[],
  named: NamedClient,
): OidcClient {
  const { issuer, clientId, audience } = named;
  const fitting = offers.filter(
    (offer) =>
      (issuer ?? offer.issuer) === offer.issuer &&
      (clientId ?? offer.clientId) === offer.clientId &&
      (audience ?? offer.audience) === offer.audience,
  );
  const [offer, ...others] = fitting;
  if (others.length > 0)
    throw usage(
      `${serviceUrl} takes tokens of several issuers`,
      `name one: ${fitting.map((one) => `--issuer ${one.issuer}`).join(', or ')}`,
    );
  if (offer !== undefined) {
    // What is on this machine is nobody else's to send us to.
    if (issuer === undefined && offer.issuer.startsWith('http:') && !isLoopback(new URL(serviceUrl)))
      throw usage(`${serviceUrl} names an issuer on this machine`, 'if it is meant, name it yourself');
    const { maxTokenAgeSeconds, ...client } = offer;
    return checked({ ...client, maxTokenAgeMs: maxTokenAgeSeconds * 1000 });
  }
  if (issuer !== undefined && clientId !== undefined && audience !== undefined)
    return checked({ issuer, clientId, audience, scopes: [], maxTokenAgeMs: undefined });
  throw usage(
    `${serviceUrl} does not say where people log in${offers.length === 0 ? '' : ' as named'}`,
    'name a file that holds a token: --token-file <file>; or --issuer, --client-id and --audience',
  );
}

function checked(client: OidcClient): OidcClient {
  if (!isSafeUrl(client.issuer)) throw usage(`an issuer is an https URL, or http on this machine`);
  if (![client.clientId, client.audience, ...client.scopes].every((text) => form.test(text)))
    throw usage('client, audience and scopes are printable ASCII without spaces');
  return client;
}

/** Whether a token for this audience is good at this service alone: the audience is its address, or a part of it. */
export function isForServiceAlone(audience: string, serviceUrl: string): boolean {
  const url = URL.parse(audience);
  if (url === null || `${url.search}${url.hash}` !== '') return false;
  const service = new URL(serviceUrl);
  const [path, own] = [url.pathname, service.pathname].map((one) => one.replace(/\/*$/, '/'));
  return url.origin === service.origin && url.origin !== 'null' && own?.startsWith(path ?? '') === true;
}
