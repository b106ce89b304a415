/** Why a key could not be made, found, opened or used. */
export type SigningErrorCode =
  | 'BAD_SIGNATURE' // a backend returned a signature that its own public key does not verify
  | 'DUPLICATE_KEY' // the same key was given twice for one file: it counts once
  | 'IO' // the disk refused; `cause` says how
  | 'KEY_AMBIGUOUS' // the URI leads to more than one key
  | 'KEY_EXISTS'
  | 'KEY_MISMATCH' // a private key is not the one that its public record describes
  | 'KEY_NOT_FOUND'
  | 'MALFORMED'
  | 'PASSPHRASE_NEEDED' // and nothing here can give one
  | 'PERMISSIONS' // others could read the key, or replace it
  | 'SEAL_BROKEN' // changed bytes, another tenant or role, or another sealing key under the same id
  | 'SEALING_KEY_UNKNOWN' // sealed with a key that the configuration no longer holds
  | 'SIGNER_FAILED' // a program, token or service crashed, or answered something that is no answer
  | 'SIGNER_REFUSED' // it understood, and said no: denied, disabled, locked
  | 'SIGNER_TIMEOUT'
  | 'SIGNER_UNREACHABLE' // the program, module, token or service is not there
  | 'TOO_LARGE' // more than what holds the key can sign
  | 'UNSUPPORTED_BACKEND' // no such kind of keys, or its library is not installed
  | 'UNSUPPORTED_KEY'
  | 'WRONG_PASSPHRASE'; // or PIN

/** The only error this package throws on purpose. No message or cause holds a passphrase, PIN or private key. */
export class SigningError extends Error {
  override readonly name = 'SigningError';
  readonly code: SigningErrorCode;

  constructor(code: SigningErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
