/** Follows what the records of publications say of every role, and holds it against the metadata that was verified. */
import { isObject, member, sha256Of, type JsonValue, type TrustedMetadata } from '@mandate/metadata';
import { parseRecord } from './chain-check.ts';
import type { Finding } from './finding.ts';

interface At {
  readonly version: number;
  readonly digest: string;
  /** Number of the record. */
  readonly seq: number;
}

function versionOf(value: JsonValue | undefined): { version: number; digest: string } | undefined {
  if (!isObject(value)) return undefined;
  const version = member(value, 'version');
  const digest = member(value, 'digest');
  return typeof version === 'number' && typeof digest === 'string' ? { version, digest } : undefined;
}

function textOf({ version, digest }: { version: number; digest: string }): string {
  return `version ${version} (${digest})`;
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
    if (said === undefined || member(said, 'action') !== 'publish') return;
    const snapshot = versionOf(member(said, 'snapshot'));
    const current = this.#trusted.snapshot?.file.version ?? 0;
    // Published after we looked.
    if (snapshot === undefined || snapshot.version > current) return;
    const changes = member(said, 'changes');
    for (const change of Array.isArray(changes) ? (changes as readonly JsonValue[]) : []) {
      const role = isObject(change) ? member(change, 'role') : undefined;
      const to = isObject(change) ? versionOf(member(change, 'to')) : undefined;
      if (!isObject(change) || typeof role !== 'string' || to === undefined) continue;
      this.#change(seq, role, versionOf(member(change, 'from')), to);
    }
  }

  #change(
    seq: number,
    role: string,
    from: { version: number; digest: string } | undefined,
    to: { version: number; digest: string },
  ): void {
    const before = this.#roles.get(role);
    if (before?.version !== from?.version || before?.digest !== from?.digest) {
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

  end(): readonly Finding[] {
    const { root, snapshot } = this.#trusted;
    const current = new Map([
      ['root', { version: root.file.version, digest: sha256Of(root.file.envelope.bytes) as string }],
    ]);
    for (const [role, { version, hashes }] of snapshot?.file.roles ?? [])
      current.set(role, { version, digest: `sha256:${hashes?.sha256 ?? ''}` });
    const differing: Finding[] = [];
    for (const [role, signed] of current) {
      const logged = this.#roles.get(role);
      if (logged?.version === signed.version && logged.digest === signed.digest) continue;
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
}
