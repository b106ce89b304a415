/** Assertions on refusals: code and reason, never the message. */
import assert from 'node:assert/strict';
import { MetadataError, type FailureCode, type MetadataReason } from '@mandate/metadata';

type Refusal = `${FailureCode}/${MetadataReason}`;

function check(error: unknown, expected: Refusal): true {
  if (!(error instanceof MetadataError)) throw error;
  assert.equal(`${error.code}/${error.reason}`, expected);
  return true;
}

/** `action` throws a MetadataError with exactly this code and reason. */
export function refuses(expected: Refusal, action: () => unknown): void {
  assert.throws(action, (error) => check(error, expected));
}

/** As `refuses`, for a promise. */
export async function rejects(expected: Refusal, action: Promise<unknown>): Promise<void> {
  await assert.rejects(action, (error) => check(error, expected));
}

/** What came out: the value, or `code/reason` of the refusal. Anything but a MetadataError is thrown on. */
export function outcome<T>(action: () => T): { value: T } | { refused: string } {
  try {
    return { value: action() };
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    return { refused: `${error.code}/${error.reason}` };
  }
}
