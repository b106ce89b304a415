/** Checkpoints against a chain: signed positions that the chain must still pass through. */
import { auditChains, openCheckpoint, type Checkpoint, type CheckpointEnvelope } from '@mandate/api';
import type { Digest, KeyId, PublicKey } from '@mandate/metadata';
import type { ChainCheck } from './chain-check.ts';
import type { Finding } from './finding.ts';

/** A checkpoint and where it came from. */
export interface Shown {
  readonly envelope: CheckpointEnvelope;
  /** `served`, `saved here`, or the file. */
  readonly from: string;
}

export interface Opened extends Shown {
  readonly checkpoint: Checkpoint;
}

export interface About {
  /** The tenant's slug, or `@service`. */
  readonly tenant: string;
  readonly genesis: Digest | undefined;
}

/** Those that a pinned key signed for this tenant; of the others, what is wrong. */
export function openAll(
  shown: readonly Shown[],
  keys: ReadonlyMap<KeyId, PublicKey>,
  { tenant, genesis }: About,
): { opened: Opened[]; findings: Finding[] } {
  const opened: Opened[] = [];
  const findings: Finding[] = [];
  for (const one of shown) {
    const checkpoint = openCheckpoint(one.envelope, keys);
    const isOurs =
      checkpoint?.tenant === tenant && (checkpoint.genesis === undefined || checkpoint.genesis === genesis);
    if (checkpoint !== undefined && isOurs) opened.push({ ...one, checkpoint });
    else
      findings.push({
        code: 'CHECKPOINT_UNSIGNED',
        message:
          checkpoint === undefined
            ? `a checkpoint (${one.from}) is signed by no pinned key`
            : `a checkpoint (${one.from}) is about another tenant, ${checkpoint.tenant}`,
      });
  }
  return { opened, findings };
}

/** Numbers whose hashes the checkpoints speak of. */
export function wantedOf(opened: readonly Opened[], chain: (typeof auditChains)[number]): Set<number> {
  return new Set(opened.map(({ checkpoint }) => checkpoint[chain].seq));
}

/** One finding for each position, however many checkpoints say the same. */
export function compareAll(
  opened: readonly Opened[],
  chains: Readonly<Record<(typeof auditChains)[number], ChainCheck>>,
): Finding[] {
  const findings = new Map<string, Finding>();
  for (const { checkpoint, from } of opened) {
    for (const chain of auditChains) {
      const { seq, hash } = checkpoint[chain];
      const found = chains[chain].hashAt(seq);
      if (found === hash) continue;
      const gone = found === undefined && seq > chains[chain].last;
      const what = `as a checkpoint of ${checkpoint.time} (${from}) has it`;
      findings.set(`${chain} ${seq}`, {
        code: gone ? 'LOG_TRUNCATED' : 'EQUIVOCATION',
        chain,
        seq,
        message: gone
          ? `${chain} ends before record ${seq}, ${what}`
          : `record ${seq} of ${chain}, or one before it, is not ${what}`,
      });
    }
  }
  return [...findings.values()];
}
