/** Errors of every package as a person or a program reads them: what failed, where, and what to do next. */
import { MetadataError, type FailureCode } from '@mandate/metadata';
import type { SigningErrorCode } from '@mandate/signing';
import { CliError } from './error.ts';
import type { LineFault } from './import/line.ts';

/** What is printed, as lines or as JSON. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly role?: string;
  readonly keys?: readonly string[];
  readonly next?: string;
  readonly lines?: readonly LineFault[];
  /** 2 for a command line that cannot be meant and a canary that could not check, else 1. */
  readonly exitCode: 1 | 2;
}

/** What to do next, for each way in which metadata can be refused. */
const nextByVerdict = {
  NOT_SIGNED: 'sign it: mandate sign <reference>',
  DIGEST_MISMATCH: 'what is there is not what was signed; do not use it, or sign it if it is right',
  THRESHOLD_NOT_MET: 'more holders of the keys of that role must sign',
  EXPIRED: 'its owner has to sign a new version: mandate renew <tenant>',
  STALE: 'check the clock of this machine and whether the service publishes timestamps',
  ROLLBACK:
    'the service offers less than was seen before; do not go on before its operator has explained why',
  DISTRUSTED: 'the publisher has withdrawn it; do not use it',
  ROOT_REPLACED:
    'ask the owner through another channel which root is right; mandate trust forget <tenant> accepts a new one',
  NO_TRUST_ROOT: 'say whom to trust: mandate trust add <tenant> --url <url> --genesis <digest>',
  NOT_AGREED: 'other roots that the policy asks do not say the same',
  UNREACHABLE: 'check that the service runs and that the URL is right: mandate trust list',
  MALFORMED: 'the service serves what no owner signs; tell its operator',
  LIMIT_EXCEEDED: 'the repository is larger than what is read; tell its owner',
  FORBIDDEN: 'log in as somebody who may read it: mandate login <url>',
} satisfies Record<FailureCode, string>;

const nextBySigning = {
  BAD_SIGNATURE: 'the key and its public record do not belong together; use another key',
  DUPLICATE_KEY: 'name each key once',
  IO: 'check the folder and its disk',
  KEY_AMBIGUOUS: 'say more in the URI, as docs/keys.md has it, so that one key is left',
  KEY_EXISTS: 'choose another name',
  KEY_MISMATCH: 'restore the two files from a backup, or use another key',
  KEY_NOT_FOUND: 'mandate key list shows the keys of this machine; mandate key generate <name> makes one',
  MALFORMED: 'check the file or the name',
  PASSPHRASE_NEEDED: 'set MANDATE_PASSPHRASE_FILE, or run this on a terminal',
  PERMISSIONS: 'correct the permissions as said',
  SEAL_BROKEN: 'restore the database and the sealing key from the same backup',
  SEALING_KEY_UNKNOWN: 'add the sealing key that was removed from the configuration',
  SIGNER_FAILED: 'run the signer program, or the tool of the token or cloud, by hand to see what is wrong',
  SIGNER_REFUSED: 'ask whoever keeps the key, or log in where it is held',
  SIGNER_TIMEOUT: 'look whether it waits for a PIN or a touch, then try again',
  SIGNER_UNREACHABLE: 'check that it is installed, plugged in or online',
  TOO_LARGE: 'use an ECDSA key for this role',
  UNSUPPORTED_BACKEND: 'use a key name or file:<path>, or install what such keys need',
  UNSUPPORTED_KEY: 'use an Ed25519, ECDSA P-256 or P-384, or RSA key',
  WRONG_PASSPHRASE: 'try again with the right passphrase',
} satisfies Record<SigningErrorCode, string>;

/** An error class of another package, told by its shape so that the package need not be loaded to ask. */
interface CodedError extends Error {
  readonly code: string;
  readonly role?: string | undefined;
}

function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && 'code' in error && typeof error.code === 'string';
}

function nextOf(error: CodedError): string | undefined {
  if (error.name === 'SigningError') return nextBySigning[error.code as SigningErrorCode];
  const isVerdict = error instanceof MetadataError || error.name === 'ClientError';
  if (isVerdict && Object.hasOwn(nextByVerdict, error.code)) return nextByVerdict[error.code as FailureCode];
  if (error.name !== 'OciError') return undefined;
  if (error.code === 'UNAUTHORIZED') return 'log in to the registry: docker login <registry>';
  return error.code === 'NOT_FOUND' ? 'push it first, or check the reference' : undefined;
}

/** What a refused verdict asks for. */
export function nextStep(code: FailureCode): string {
  return nextByVerdict[code];
}

export function failureOf(error: unknown): Failure {
  if (error instanceof CliError) {
    const { code, message, role, keys, next, serviceCode, lines } = error;
    return {
      code: code === 'REFUSED' ? (serviceCode ?? code) : code,
      message,
      ...(role === undefined ? {} : { role }),
      ...(keys === undefined ? {} : { keys }),
      ...(next === undefined ? {} : { next }),
      ...(lines === undefined ? {} : { lines }),
      exitCode: code === 'USAGE' || code === 'COULD_NOT_CHECK' ? 2 : 1,
    };
  }
  if (isCoded(error)) {
    const next = nextOf(error);
    return {
      code: error.code,
      message: error.message,
      ...(error.role === undefined ? {} : { role: error.role }),
      ...(next === undefined ? {} : { next }),
      exitCode: error.code === 'INVALID_REFERENCE' ? 2 : 1,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'INTERNAL', message: `a fault of this program: ${message}`, exitCode: 1 };
}
