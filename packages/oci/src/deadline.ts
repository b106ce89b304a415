/** One time limit for a whole operation, together with the caller's own signal. */
import { OciError } from './error.ts';

/**
 * Runs `work` under a signal that fires after `timeoutMs` or with the caller's signal.
 *
 * @throws {OciError} `TIMEOUT`, `ABORTED`, or whatever `work` throws
 */
export async function withDeadline<T>(
  timeoutMs: number,
  caller: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = caller === undefined ? timeout : AbortSignal.any([timeout, caller]);
  try {
    signal.throwIfAborted();
    return await work(signal);
  } catch (cause) {
    if (cause instanceof OciError) throw cause;
    if (caller?.aborted === true) throw new OciError('ABORTED', 'stopped by the caller', { cause });
    if (timeout.aborted) throw new OciError('TIMEOUT', `not finished within ${timeoutMs} ms`, { cause });
    throw cause;
  }
}
