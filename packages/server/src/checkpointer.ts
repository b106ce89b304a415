/**
 * Signs checkpoints of what no checkpoint covers yet. Before it signs it reads the new records again: a chain that was
 * changed behind the service's back gets no signature.
 */
import {
  apiLimits,
  auditHash,
  checkpointBytes,
  checkpointEnvelope,
  encodeCheckpoint,
  openCheckpoint,
  parseCheckpointText,
  serviceLog,
  type AuditChain,
  type AuditPosition,
} from '@mandate/api';
import { parseDigest } from '@mandate/metadata';
import type { Signer } from '@mandate/signing';
import type { AuditKey } from './audit-key.ts';
import { recordEvents } from './audit.ts';
import { ServerError } from './error.ts';
import { Periodic } from './periodic.ts';
import {
  insertCheckpoint,
  readChains,
  readCheckpoints,
  readRecords,
  unsignedTenants,
  type ChainsRow,
} from './sql/audit.ts';
import { deploymentId, tenantTransaction, type Database } from './sql/connection.ts';

export interface CheckpointerOptions {
  readonly database: Database;
  readonly key: AuditKey;
  readonly everyMs: number;
  readonly now: () => number;
  readonly onTrouble: (error: unknown) => void;
}

const page = 200;

function hex({ seq, hash }: ChainsRow[AuditChain]): AuditPosition {
  return { seq, hash: hash.toString('hex') };
}

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  readonly #periodic: Periodic;
  /** What this process signed or found to be right last, by tenant. */
  readonly #known = new Map<number, Pick<ChainsRow, AuditChain>>();

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#periodic = new Periodic(() => this.#all(), options.everyMs, options.onTrouble);
  }

  run(): Promise<void> {
    return this.#periodic.run();
  }

  stop(): Promise<void> {
    return this.#periodic.stop();
  }

  async #all(): Promise<void> {
    const { database, key, onTrouble } = this.#options;
    const signer = await key.signer();
    for (let after = -1; !this.#periodic.stopped;) {
      const ids = await unsignedTenants(database, after, page);
      for (const id of ids) {
        if (this.#periodic.stopped) return;
        // One chain that is damaged must not keep the others from being signed.
        await this.#sign(id, signer).catch(onTrouble);
      }
      after = ids.at(-1) ?? after;
      if (ids.length < page) return;
    }
  }

  async #sign(tenantId: number, signer: Signer): Promise<void> {
    const { database, now } = this.#options;
    await tenantTransaction(database, tenantId, (client) => recordEvents(client, [], now()));
    const chains = await readChains(database.of(tenantId));
    const before = this.#known.get(tenantId) ?? (await this.#lastSigned(tenantId, signer));
    for (const chain of ['publications', 'administration'] as const)
      await this.#follow(tenantId, chain, before?.[chain], chains[chain]);
    const payload = encodeCheckpoint({
      tenant: tenantId === deploymentId ? serviceLog : chains.slug,
      ...(chains.genesis === null ? {} : { genesis: parseDigest(chains.genesis) }),
      time: new Date(now()).toISOString(),
      publications: hex(chains.publications),
      administration: hex(chains.administration),
    });
    const signature = await signer.sign(checkpointBytes(payload));
    const envelope = JSON.stringify(checkpointEnvelope(payload, signer.keyId, signature));
    const { publications, administration } = chains;
    const row = { publications: publications.seq, administration: administration.seq, envelope };
    await insertCheckpoint(database.of(tenantId), row, now());
    this.#known.set(tenantId, { publications, administration });
  }

  /** Positions of the newest stored checkpoint, where the key of today signed it; else everything is read again. */
  async #lastSigned(tenantId: number, signer: Signer): Promise<Pick<ChainsRow, AuditChain> | undefined> {
    const [row] = await readCheckpoints(this.#options.database.of(tenantId), undefined, 1);
    const envelope = row && parseCheckpointText(row.envelope);
    const said = envelope && openCheckpoint(envelope, new Map([[signer.keyId, signer.publicKey]]));
    if (said === undefined) return undefined;
    const position = ({ seq, hash }: AuditPosition) => ({ seq, hash: Buffer.from(hash, 'hex') });
    return { publications: position(said.publications), administration: position(said.administration) };
  }

  /** @throws ServerError AUDIT_BROKEN where the records do not lead from one position to the other. */
  async #follow(
    tenantId: number,
    chain: AuditChain,
    from: { readonly seq: number; readonly hash: Buffer } | undefined,
    to: { readonly seq: number; readonly hash: Buffer },
  ): Promise<void> {
    const limit = { count: apiLimits.auditPage, bytes: apiLimits.auditPageBytes };
    let { seq, hash } = from ?? { seq: 0, hash: Buffer.alloc(32) };
    while (seq < to.seq) {
      const rows = await readRecords(this.#options.database.of(tenantId), chain, seq, limit);
      if (rows.length === 0) break;
      for (const row of rows) {
        if (row.seq > to.seq) break;
        hash = auditHash(hash, row.record);
        if (row.seq !== seq + 1 || !row.hash.equals(hash)) throw broken(tenantId, chain, row.seq);
        seq = row.seq;
      }
    }
    if (seq !== to.seq || !hash.equals(to.hash)) throw broken(tenantId, chain, seq);
  }
}

function broken(tenantId: number, chain: AuditChain, seq: number): ServerError {
  return new ServerError(
    'AUDIT_BROKEN',
    `the audit log of tenant ${tenantId} (${chain}) was changed near record ${seq}; no checkpoint is signed for it`,
  );
}
