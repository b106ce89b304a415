/** The one error class of this package. No message, and no `cause`, ever holds a secret. */

/**
 * What went wrong, as a closed union.
 *
 * - `INVALID_REFERENCE`: the text is not an image reference
 * - `UNSUPPORTED_DIGEST`: a digest with an algorithm other than sha256
 * - `UNSUPPORTED_MEDIA_TYPE`: the manifest is of a kind that this client does not read
 * - `NOT_FOUND`: the registry says that it has no such manifest or blob
 * - `UNAUTHORIZED`: no credentials, or the registry refused them
 * - `FORBIDDEN`: the registry knows who asks and says no
 * - `CREDENTIALS_FAILED`: the docker configuration or a credential helper could not be used
 * - `UNREACHABLE`: no connection, or the registry failed (5xx)
 * - `TIMEOUT`: the time limit of the whole operation passed
 * - `ABORTED`: the caller's signal fired
 * - `RATE_LIMITED`: 429 after the bounded number of attempts
 * - `REFUSED`: any other answer that refuses the request
 * - `DIGEST_MISMATCH`: the bytes do not have the digest that was asked for or announced
 * - `SIZE_MISMATCH`: the bytes do not have the size that was announced
 * - `TOO_LARGE`: more bytes or entries than the limit
 * - `MALFORMED`: the answer breaks the protocol
 * - `INSECURE`: plain http where it is not allowed
 * - `REDIRECT_REFUSED`: a redirect that is too long, weaker, or goes to an internal address
 */
export type OciErrorCode =
  | 'INVALID_REFERENCE'
  | 'UNSUPPORTED_DIGEST'
  | 'UNSUPPORTED_MEDIA_TYPE'
  | 'NOT_FOUND'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'CREDENTIALS_FAILED'
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'RATE_LIMITED'
  | 'REFUSED'
  | 'DIGEST_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'TOO_LARGE'
  | 'MALFORMED'
  | 'INSECURE'
  | 'REDIRECT_REFUSED';

export class OciError extends Error {
  override readonly name = 'OciError';
  readonly code: OciErrorCode;

  constructor(code: OciErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
