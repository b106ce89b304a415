import type { Terminal } from './terminal.ts';

/** What a command has to say once it is done: shown in one go, so that a failure leaves stdout empty. */
export interface Outcome {
  readonly text: string;
  /** The same for programs. */
  readonly json: unknown;
  /** False for a verdict that refuses: printed like any result, with exit code 1. */
  readonly ok?: boolean;
  readonly hints?: readonly string[];
}

export function show(outcome: Outcome, json: boolean, terminal: Terminal): number {
  terminal.result(json ? JSON.stringify(outcome.json, undefined, 2) : outcome.text);
  if (!json) for (const hint of outcome.hints ?? []) terminal.hint(hint);
  return outcome.ok === false ? 1 : 0;
}
