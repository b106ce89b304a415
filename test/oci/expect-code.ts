/** Asserts the code of an {@link OciError}, thrown or rejected. */
import assert from 'node:assert/strict';
import { OciError } from '@mandate/oci';
import type { OciErrorCode } from '@mandate/oci';

export function throwsCode(work: () => unknown, code: OciErrorCode): void {
  assert.throws(work, (error) => hasCode(error, code));
}

export async function rejectsCode(work: Promise<unknown>, code: OciErrorCode): Promise<OciError> {
  const error = await work.then(
    () => assert.fail(`expected ${code}`),
    (cause: unknown) => cause,
  );
  hasCode(error, code);
  return error as OciError;
}

function hasCode(error: unknown, code: OciErrorCode): true {
  assert.ok(error instanceof OciError, `not an OciError: ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return true;
}
