/**
 * `awskms:///<key>` and `awskms://<endpoint>/<key>[?region=<region>]`; the key is an ARN, a key id or `alias/<name>`. Pure.
 */
import type { KeyUri } from './backend.ts';
import { SigningError } from './error.ts';

export interface AwskmsUri {
  /** As the service takes it. */
  readonly key: string;
  /** From an ARN or `region=`; otherwise the usual settings of AWS decide. */
  readonly region?: string;
  readonly endpoint?: string;
  readonly text: string;
}

const regionForm = /^[a-z]{2,}(?:-[a-z0-9]+)+$/;
const arnForm = /^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(?:key|alias)\/[A-Za-z0-9/_-]{1,256}$/;
const keyForm = /^(?:alias\/[A-Za-z0-9/_-]{1,250}|[A-Za-z0-9-]{1,256})$/;

/** @throws SigningError `MALFORMED` */
export function parseAwskmsUri({ rest, text }: KeyUri): AwskmsUri {
  const [, host = '', key = '', query] = /^\/\/([^/?]*)\/([^?]+)(?:\?(.*))?$/s.exec(rest) ?? [];
  if (!arnForm.test(key) && !keyForm.test(key))
    throw malformed(text, 'write awskms:///<ARN, key id or alias/name>');
  const named = query === undefined ? undefined : /^region=(.+)$/.exec(query)?.[1];
  if (query !== undefined && named === undefined) throw malformed(text, 'its only parameter is region');
  const ofArn = arnForm.exec(key)?.[1];
  if (named !== undefined && ofArn !== undefined && named !== ofArn)
    throw malformed(text, 'its region is not that of the ARN');
  const region = named ?? ofArn;
  if (region !== undefined && !regionForm.test(region)) throw malformed(text, 'its region is not one');
  return {
    key,
    ...(region !== undefined && { region }),
    ...(host !== '' && { endpoint: endpointOf(host, text) }),
    text,
  };
}

/** TLS everywhere but on this machine. */
function endpointOf(host: string, text: string): string {
  if (!/^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/.test(host))
    throw malformed(text, 'its endpoint is a host, with a port or without');
  const loopback = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(host);
  return `${loopback ? 'http' : 'https'}://${host}`;
}

function malformed(text: string, what: string): SigningError {
  return new SigningError('MALFORMED', `${text.slice(0, 200)} does not name a key in AWS KMS: ${what}`);
}
