/**
 * Reads one chain of an audit log from its start and says what is wrong with it. Pure: records in, findings out. A record
 * says its own number and its hash covers the one before it, so what was done to it shows where it was done.
 */
import { auditHash, auditStart, type AuditChain, type AuditEntry, type AuditPosition } from '@mandate/api';
import { isObject, member, parseJson, type JsonObject } from '@mandate/metadata';
import type { Finding } from './finding.ts';

/** What a record says. Undefined where it is no JSON object. */
export function parseRecord(record: string): JsonObject | undefined {
  try {
    const { value } = parseJson(record);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export class ChainCheck {
  readonly #chain: AuditChain;
  /** Numbers whose hash will be asked for. */
  readonly #wanted: ReadonlySet<number>;
  readonly #hashes = new Map<number, string>();
  readonly #missing = new Set<number>();
  readonly #findings: Finding[] = [];
  #hash: Uint8Array = auditStart;
  /** The number that comes next. */
  #next = 1;
  /** The record before was not in its place: this one's link to it says nothing. */
  #disturbed = false;
  #count = 0;

  constructor(chain: AuditChain, wanted: ReadonlySet<number>) {
    this.#chain = chain;
    this.#wanted = wanted;
    if (wanted.has(0)) this.#hashes.set(0, Buffer.from(auditStart).toString('hex'));
  }

  get count(): number {
    return this.#count;
  }

  /** The newest number in its place. */
  get last(): number {
    return this.#next - 1;
  }

  /** Hex; undefined where the chain has no such record. */
  hashAt(seq: number): string | undefined {
    return this.#hashes.get(seq);
  }

  /** In the order in which the service gives them. */
  add(entry: AuditEntry): void {
    this.#count += 1;
    const said = parseRecord(entry.record);
    const seq = said && member(said, 'seq');
    const own = typeof seq === 'number' && Number.isSafeInteger(seq) && seq > 0 ? seq : entry.seq;
    const follows = auditHash(this.#hash, entry.record).toString('hex') === entry.hash;
    const inPlace = own === this.#next;
    if (!inPlace) this.#displaced(own);
    else this.#next += 1;
    if (!follows && inPlace && !this.#disturbed)
      this.#find('RECORD_ALTERED', own, 'does not have the hash that the chain gives it');
    this.#disturbed = !inPlace;
    this.#hash = Buffer.from(entry.hash, 'hex');
    if (this.#wanted.has(own)) this.#hashes.set(own, entry.hash);
  }

  #displaced(own: number): void {
    if (own < this.#next) {
      const late = this.#missing.delete(own);
      if (late) this.#find('RECORD_REORDERED', own, 'stands behind a later one');
      else this.#find('RECORD_INSERTED', own, 'is there twice');
      return;
    }
    for (let seq = this.#next; seq < own && this.#missing.size < 10_000; seq += 1) this.#missing.add(seq);
    this.#next = own + 1;
  }

  /** @param last where the service says that the chain stands */
  end(last: AuditPosition): readonly Finding[] {
    const missing = [...this.#missing].map((seq) => this.#finding('RECORD_MISSING', seq, 'is not there'));
    const end: Finding[] = [];
    if (this.last < last.seq)
      end.push(
        this.#finding('LOG_TRUNCATED', this.last + 1, `and all after it up to ${last.seq} are not there`),
      );
    else if (this.last > last.seq)
      end.push(this.#finding('RECORD_INSERTED', last.seq + 1, 'stands behind the end of the chain'));
    else if (last.hash !== Buffer.from(this.#hash).toString('hex') && !this.#disturbed)
      end.push(this.#finding('RECORD_ALTERED', this.last, 'does not have the hash that the chain ends with'));
    return [...this.#findings, ...missing, ...end].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  }

  #find(code: Finding['code'], seq: number, what: string): void {
    this.#findings.push(this.#finding(code, seq, what));
  }

  #finding(code: Finding['code'], seq: number, what: string): Finding {
    return { code, chain: this.#chain, seq, message: `record ${seq} of ${this.#chain} ${what}` };
  }
}
