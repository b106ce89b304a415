/** One question to a simulated tenant, and what a client makes of it. */
import assert from 'node:assert/strict';
import { MemoryStore, Updater, verify, type Policy, type TrustStore, type Verdict } from '@mandate/client';
import { start, type SimRepository } from '../support/repository.ts';

export interface AskOptions {
  readonly repository?: string;
  readonly reference?: string;
  readonly policy?: Policy;
  /** Milliseconds since the epoch. */
  readonly now?: number;
  readonly store?: TrustStore;
  /** One that asked before. */
  readonly updater?: Updater;
}

export function updaterOf(sim: SimRepository, store: TrustStore = new MemoryStore()): Updater {
  return new Updater({ source: sim, store, pin: { root: sim.rootBytes }, refreshAfterMs: 0 });
}

export async function ask(sim: SimRepository, options: AskOptions = {}): Promise<Verdict> {
  const { repository = 'team/app', reference = 'v1', policy = {}, now = start, store } = options;
  const tenant = options.updater ?? updaterOf(sim, store);
  return await verify({ tenant, repository, reference }, policy, now);
}

/** Asserts code and reason of a refusal. */
export async function refuses(
  sim: SimRepository,
  code: Verdict['code'],
  reason: string,
  options: AskOptions = {},
): Promise<void> {
  const verdict = await ask(sim, options);
  assert.deepEqual([verdict.code, 'reason' in verdict ? verdict.reason : undefined], [code, reason]);
}

/** Asserts that the artifact verifies. */
export async function accepts(sim: SimRepository, options: AskOptions = {}): Promise<void> {
  const verdict = await ask(sim, options);
  assert.equal(verdict.code, 'VERIFIED', JSON.stringify(verdict));
}
