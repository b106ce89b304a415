/** What two implementations said of the same thing, and what to make of it. Pure. */

/** What one of them says of a path. `why` is for people and logs. */
export type Answer =
  | { readonly kind: 'found'; readonly length: number; readonly sha256: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'refused'; readonly why: string };

/**
 * `agree`: both gave the same answer. `disagree`: they did not. `refused`: neither takes what is served. `skipped`: one
 * of them did not come to an end in its time, or cannot be asked. `unreachable`: the service did not answer.
 */
export const checkResults = ['agree', 'disagree', 'refused', 'skipped', 'unreachable'] as const;
export type CheckResult = (typeof checkResults)[number];

/** One thing that was asked of both. */
export interface Finding {
  readonly result: CheckResult;
  /** Absent for the tenant's metadata as a whole: root, timestamp, snapshot and top-level targets. */
  readonly path?: string;
  readonly ours: string;
  readonly theirs: string;
}

/** One line for logs and messages: `found 528 sha256:...`, `absent`, `refused: ...`. */
function answerText(answer: Answer | undefined): string {
  if (answer === undefined) return 'no answer in its time';
  if (answer.kind === 'found') return `found ${answer.length} sha256:${answer.sha256}`;
  return answer.kind === 'absent' ? 'absent' : `refused: ${answer.why}`;
}

/**
 * The one known difference that a tenant of our profile can have (docs/differences.md): past 32 roles we refuse, and
 * tuf-js says that nothing is there. The others need names that are never asked for here, or files that the service
 * refuses to publish: where those are served, that is an alarm.
 */
function isKnownDifference(ours: Answer, theirs: Answer): boolean {
  return ours.kind === 'refused' && ours.why.startsWith('LIMIT_EXCEEDED/DEPTH') && theirs.kind === 'absent';
}

function resultOf(path: string, ours: Answer, theirs: Answer | undefined): CheckResult {
  if (theirs === undefined) return 'skipped';
  if (ours.kind === 'refused' && theirs.kind === 'refused') return 'refused';
  if (isKnownDifference(ours, theirs)) return 'skipped';
  // Nobody owns the name: we say so from `targets` alone, tuf-js goes on to `reserved`, which may have expired.
  if (path.startsWith('~') && ours.kind === 'absent' && theirs.kind === 'refused') return 'refused';
  if (ours.kind === 'found' && theirs.kind === 'found')
    return ours.length === theirs.length && ours.sha256 === theirs.sha256 ? 'agree' : 'disagree';
  return ours.kind === theirs.kind ? 'agree' : 'disagree';
}

/** @param theirs undefined where tuf-js did not come to it in its time */
export function comparePath(path: string, ours: Answer, theirs: Answer | undefined): Finding {
  return { result: resultOf(path, ours, theirs), path, ours: answerText(ours), theirs: answerText(theirs) };
}

/** Whether it is a reason for an alarm, once confirmed. */
export function isBad({ result }: Finding): boolean {
  return result === 'disagree' || result === 'refused';
}
