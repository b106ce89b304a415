import type { Terminal } from './terminal.ts';

/** What a command has to say once it is done: shown in one go, so that a failure leaves stdout empty. */
export interface Outcome {
  readonly text: string;
  /** The same for programs. */
  readonly json: unknown;
  /** False for a verdict that refuses: exit code 1; JSON goes to stdout like any result, text to stderr. */
  readonly ok?: boolean;
  /** Where `ok` is false and another exit code than 1 says why. */
  readonly exitCode?: 2;
  readonly hints?: readonly string[];
  /** Everything was said already. */
  readonly silent?: boolean;
}

/** @returns the exit code */
export function show(outcome: Outcome, json: boolean, terminal: Terminal): number {
  if (outcome.silent === true) return 0;
  if (json) terminal.result(JSON.stringify(outcome.json, undefined, 2));
  else if (outcome.ok === false) terminal.note(outcome.text);
  else terminal.result(outcome.text);
  if (!json) for (const hint of outcome.hints ?? []) terminal.hint(hint);
  return outcome.ok === false ? (outcome.exitCode ?? 1) : 0;
}
