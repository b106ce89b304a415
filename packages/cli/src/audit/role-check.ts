/** Follows what the records of publications say of every role, and holds it against the metadata that was verified. */
import { isObject, member, sha256Of, type JsonValue, type TrustedMetadata } from '@mandate/metadata';
import { parseRecord } from './chain-check.ts';
import type { Finding } from './finding.ts';

interface At {
  readonly version: number;
  /** Undefined where the record does not say it: before there were checkpoints, records had versions alone. */
  readonly digest: string | undefined;
  /** Number of the record. */
  readonly seq: number;
}

function versionOf(value: JsonValue | undefined): { version: number; digest: string } | undefined {
  if (!isObject(value)) return undefined;
  const version = member(value, 'version');
  const digest = member(value, 'digest');
  return typeof version === 'number' && typeof digest === 'string' ? { version, digest } : undefined;
}

/** A role of which the log has the version and, from its time, no digest. */
export interface NotCovered {
  readonly role: string;
  readonly version: number;
  /** Number of the record. */
  readonly seq: number;
}

function textOf({ version, digest }: { version: number; digest: string | undefined }): string {
  return `version ${version} (${digest ?? 'its digest is not recorded'})`;
}

/** Whether what is recorded can be what is said: what was not recorded contradicts nothing. */
function agrees(
  recorded: Pick<At, 'version' | 'digest'> | undefined,
  said: { version: number; digest: string } | undefined,
): boolean {
  if (recorded?.version !== said?.version) return false;
  return recorded?.digest === undefined || recorded.digest === said?.digest;
}

export class RoleCheck {
  readonly #trusted: TrustedMetadata;
  readonly #roles = new Map<string, At>();
  readonly #findings: Finding[] = [];
  /** @param trusted refreshed before the records were read: they reach at least as far */
  constructor(trusted: TrustedMetadata) {
    this.#trusted = trusted;
  }

  add(seq: number, record: string): void {
    const said = parseRecord(record);
    const action = said && member(said, 'action');
    if (said === undefined || (action !== 'publish' && action !== 'restore')) return;
    const live = member(said, 'snapshot');
    const snapshot = typeof live === 'number' ? live : versionOf(live)?.version;
    const current = this.#trusted.snapshot?.file.version ?? 0;
    // Published after we looked.
    if (snapshot === undefined || snapshot > current) return;
    const changes = member(said, 'changes');
    if (changes === undefined) this.#addVersions(seq, member(said, 'versions'));
    for (const change of Array.isArray(changes) ? (changes as readonly JsonValue[]) : []) {
      const role = isObject(change) ? member(change, 'role') : undefined;
      const to = isObject(change) ? versionOf(member(change, 'to')) : undefined;
      if (!isObject(change) || typeof role !== 'string' || to === undefined) continue;
      this.#change(seq, role, versionOf(member(change, 'from')), to);
    }
  }

  /** A record from before there were checkpoints. */
  #addVersions(seq: number, versions: JsonValue | undefined): void {
    if (!isObject(versions)) return;
    for (const [role, version] of Object.entries(versions))
      if (typeof version === 'number') this.#roles.set(role, { version, digest: undefined, seq });
  }

  #change(
    seq: number,
    role: string,
    from: { version: number; digest: string } | undefined,
    to: { version: number; digest: string },
  ): void {
    const before = this.#roles.get(role);
    if (!agrees(before, from)) {
      const said = from === undefined ? 'nothing' : textOf(from);
      const known = before === undefined ? 'nothing' : `${textOf(before)} of record ${before.seq}`;
      this.#findings.push({
        code: 'RECORD_CONTRADICTS',
        chain: 'publications',
        seq,
        role,
        message: `record ${seq} of publications changes ${role} from ${said}, where it was at ${known}`,
      });
    }
    this.#roles.set(role, { ...to, seq });
  }

  /** Live roles that rest on a record without digests: nothing is wrong with them, and nothing shown. */
  notCovered(): readonly NotCovered[] {
    const live = this.#live();
    return [...this.#roles].flatMap(([role, { version, digest, seq }]) =>
      digest === undefined && live.get(role)?.version === version ? [{ role, version, seq }] : [],
    );
  }

  end(): readonly Finding[] {
    const current = this.#live();
    const differing: Finding[] = [];
    for (const [role, signed] of current) {
      const logged = this.#roles.get(role);
      if (agrees(logged, signed)) continue;
      const said = logged === undefined ? 'nothing of it' : textOf(logged);
      differing.push({
        code: 'METADATA_DIFFERS',
        chain: 'publications',
        ...(logged === undefined ? {} : { seq: logged.seq }),
        role,
        message: `role ${role} is at ${textOf(signed)} as signed; the log says ${said}`,
      });
    }
    return [...this.#findings, ...differing];
  }

  /** What is signed. */
  #live(): ReadonlyMap<string, { version: number; digest: string }> {
    const { root, snapshot } = this.#trusted;
    const live = new Map([
      ['root', { version: root.file.version, digest: sha256Of(root.file.envelope.bytes) as string }],
    ]);
    for (const [role, { version, hashes }] of snapshot?.file.roles ?? [])
      live.set(role, { version, digest: `sha256:${hashes?.sha256 ?? ''}` });
    return live;
  }
}
