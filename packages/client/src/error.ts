/** The one error class of this package. Metadata that breaks a rule stays a `MetadataError`. */
import type { FailureCode, MetadataReason } from '@mandate/metadata';

/** What went wrong on the way to the metadata, or in the question asked. Finer than the code, and as closed. */
export type ClientReason =
  | 'NETWORK' // no answer, or one that broke off
  | 'TIMEOUT' // no answer in time
  | 'STATUS' // an answer that is neither the file nor "not there"
  | 'REDIRECT' // a redirect that is not followed
  | 'ADDRESS' // a place that an anchor names and the configuration does not allow
  | 'NOT_SERVED' // a file that must exist is not there
  | 'OFFLINE' // the network was ruled out and the store does not have it
  | 'CREDENTIALS' // the server wants other credentials
  | 'SIZE' // more bytes than are read
  | 'STORE' // the trust store cannot be read or written
  | 'BUSY' // other processes kept changing the trust store
  | 'ROOT_SEEN' // another root for a version that was seen
  | 'GENESIS' // the tenant is not the one that was pinned
  | 'ANCHOR_GONE' // a child tenant that was met is not anchored any more
  | 'ANCHOR_OLDER' // an older anchor of a child than the one that was seen
  | 'NO_ROOT' // nothing trusted to start from
  | 'NAME' // a name that cannot be asked for
  | 'CONFIGURATION' // a trust configuration that cannot be read
  | 'CONTENT'; // a target file that differs from what was signed

/** What was wrong, with the verdict that it leads to. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: FailureCode;
  readonly reason: ClientReason;
  /** The role whose file was wanted, where known. */
  readonly role: string | undefined;

  constructor(
    code: FailureCode,
    reason: ClientReason,
    message: string,
    options: { role?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.reason = reason;
    this.role = options.role;
  }
}

/** A verdict's reason: a rule of metadata, or what kept us from it. */
export type ErrorReason = MetadataReason | ClientReason;
