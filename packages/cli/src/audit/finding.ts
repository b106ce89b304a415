/** What an audit log can be found guilty of. */
import type { AuditChain } from '@mandate/api';

type FindingCode =
  | 'RECORD_ALTERED' // a record does not have the hash that the chain gives it
  | 'RECORD_MISSING' // a number is left out
  | 'RECORD_REORDERED' // a record stands where another belongs
  | 'RECORD_INSERTED' // a number is there twice, or behind the end
  | 'LOG_TRUNCATED' // the chain ends before a position that was signed
  | 'EQUIVOCATION' // a signed position has another hash than the chain has there
  | 'CHECKPOINT_UNSIGNED' // no pinned key signed it, or it is of another tenant
  | 'RECORD_CONTRADICTS' // a record changes a role from a version that it was not at
  | 'METADATA_DIFFERS'; // the signed metadata is at another version than the log says

export interface Finding {
  readonly code: FindingCode;
  readonly chain?: AuditChain;
  /** Number of the record. */
  readonly seq?: number;
  readonly role?: string;
  readonly message: string;
}
