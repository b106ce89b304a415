/** What a PKCS #11 library's return values mean to the person whose key it holds. Pure. */
import { CryptokiError } from './cryptoki-functions.ts';
import { SigningError, type SigningErrorCode } from './error.ts';

interface Fault {
  readonly name: string;
  readonly code: SigningErrorCode;
  readonly next: string;
}

const fault = (name: string, code: SigningErrorCode, next: string): Fault => ({ name, code, next });
const faults: ReadonlyMap<number, Fault> = new Map([
  [
    0x21,
    fault(
      'DATA_LEN_RANGE',
      'TOO_LARGE',
      'this token signs only smaller messages with such a key; use an ECDSA key',
    ),
  ],
  [0x30, fault('DEVICE_ERROR', 'SIGNER_UNREACHABLE', 'look at the device')],
  [0x32, fault('DEVICE_REMOVED', 'SIGNER_UNREACHABLE', 'put the device back')],
  [0x68, fault('KEY_FUNCTION_NOT_PERMITTED', 'SIGNER_REFUSED', 'this key may not sign')],
  [0x70, fault('MECHANISM_INVALID', 'UNSUPPORTED_KEY', 'this token does not sign with such keys')],
  [0x71, fault('MECHANISM_PARAM_INVALID', 'UNSUPPORTED_KEY', 'this token does not sign with such keys')],
  [
    0xa0,
    fault('PIN_INCORRECT', 'WRONG_PASSPHRASE', 'the PIN is wrong; a token locks itself after a few tries'),
  ],
  [
    0xa1,
    fault('PIN_INVALID', 'WRONG_PASSPHRASE', 'the PIN is wrong; a token locks itself after a few tries'),
  ],
  [0xa2, fault('PIN_LEN_RANGE', 'WRONG_PASSPHRASE', 'the PIN is too short or too long')],
  [
    0xa3,
    fault(
      'PIN_EXPIRED',
      'SIGNER_REFUSED',
      'the PIN has expired; set a new one with the program of its maker',
    ),
  ],
  [0xa4, fault('PIN_LOCKED', 'SIGNER_REFUSED', 'the PIN is locked; unlock it with the program of its maker')],
  [0xb3, fault('SESSION_HANDLE_INVALID', 'SIGNER_UNREACHABLE', 'try again')],
  [0xb0, fault('SESSION_CLOSED', 'SIGNER_UNREACHABLE', 'try again')],
  [0xe0, fault('TOKEN_NOT_PRESENT', 'SIGNER_UNREACHABLE', 'put the token back')],
  [0xe2, fault('TOKEN_WRITE_PROTECTED', 'SIGNER_REFUSED', 'the token takes no new keys')],
  [0x101, fault('USER_NOT_LOGGED_IN', 'SIGNER_REFUSED', 'the token wants a login')],
  [
    0x102,
    fault('USER_PIN_NOT_INITIALIZED', 'SIGNER_REFUSED', 'set a PIN first, with the program of its maker'),
  ],
]);
/** Anything that was thrown while a token was used, as a `SigningError` with the key's URI. */
export function explain(error: unknown, uri: string): SigningError {
  if (error instanceof SigningError) return error;
  if (!(error instanceof CryptokiError))
    return new SigningError('SIGNER_FAILED', `${uri}: the token's library cannot be used`, { cause: error });
  const known = faults.get(error.value);
  const name = known ? `CKR_${known.name}` : `0x${error.value.toString(16)}`;
  return new SigningError(
    known?.code ?? 'SIGNER_FAILED',
    `${uri}: ${error.call} answered ${name}; ${known?.next ?? 'the documentation of the token says what that means'}`,
    { cause: error },
  );
}
