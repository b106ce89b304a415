/** The key that signs checkpoints of the audit log: made here and stored sealed, or held outside and named by its URI. */
import { generateKeyPairSync } from 'node:crypto';
import type { KeyId } from '@mandate/metadata';
import {
  sealingKeyIdOf,
  sealKey,
  signerFromKeyObject,
  unsealKey,
  type SealingKeys,
  type Signer,
} from '@mandate/signing';
import { lockAuditKeys, putAuditKey, readAuditKeys, resealAuditKey } from './sql/audit.ts';
import { transaction, type Database } from './sql/connection.ts';

/** No tenant has this name. */
const sealContext = { tenant: '@service', role: 'audit' };
const uri = 'service:audit';

export class AuditKey {
  readonly #open: () => Promise<Signer>;
  #signer: Promise<Signer> | undefined;

  /** @param held opens the key that the configuration names; without it a key is made, once for all processes */
  constructor(database: Database, sealing: SealingKeys, held: (() => Promise<Signer>) | undefined) {
    this.#open = async () => openAuditKey(database, sealing, await held?.());
  }

  /**
   * Opened when first needed; a key that is out of reach now keeps nobody from reading and publishing.
   *
   * @throws SigningError, and tries again the next time
   */
  signer(): Promise<Signer> {
    this.#signer ??= this.#open().catch((error: unknown) => {
      this.#signer = undefined;
      throw error;
    });
    return this.#signer;
  }

  async close(): Promise<void> {
    const signer = await this.#signer?.catch(() => undefined);
    await signer?.close?.();
  }
}

async function openAuditKey(
  database: Database,
  sealing: SealingKeys,
  held: Signer | undefined,
): Promise<Signer> {
  return transaction(database, async (client) => {
    await lockAuditKeys(client);
    const rows = await readAuditKeys(client);
    if (held !== undefined) {
      if (rows[0]?.keyId !== held.keyId)
        await putAuditKey(client, { keyId: held.keyId, wire: held.publicKey.wire, sealed: null });
      return held;
    }
    const stored = rows.find(({ sealed }) => sealed !== null);
    if (stored === undefined || stored.sealed === null) {
      const { privateKey } = generateKeyPairSync('ed25519');
      const signer = signerFromKeyObject(privateKey, uri);
      const sealed = Buffer.from(sealKey(privateKey, sealing.current, sealContext));
      await putAuditKey(client, { keyId: signer.keyId, wire: signer.publicKey.wire, sealed });
      return signer;
    }
    const privateKey = unsealKey(stored.sealed, sealing, sealContext);
    if (sealingKeyIdOf(stored.sealed) !== sealing.current.id)
      await resealAuditKey(client, stored.keyId, sealKey(privateKey, sealing.current, sealContext));
    if (stored !== rows[0]) await putAuditKey(client, stored);
    return { ...signerFromKeyObject(privateKey, uri), keyId: stored.keyId as KeyId };
  });
}
