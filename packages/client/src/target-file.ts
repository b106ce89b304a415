/** Target files: where a repository keeps them (TUF specification 6.2, 7), and the check of what arrives. */
import { matches, type TargetFile } from '@mandate/metadata';
import { ClientError } from './error.ts';
import type { Source } from './source.ts';

/**
 * The name of a target in its source: `<folder>/<hash>.<base>`, the path itself where snapshots are not consistent.
 * Every segment is percent-encoded.
 *
 * @throws ClientError MALFORMED/NAME for a path with empty segments, `.` or `..`.
 */
export function targetFileName(path: string, { hashes }: TargetFile, consistentSnapshot: boolean): string {
  const segments = path.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    throw new ClientError('MALFORMED', 'NAME', `not a path that can be fetched: ${JSON.stringify(path)}`);
  }
  const base = segments.pop() as string;
  const hash = hashes.sha256 ?? hashes.sha512;
  const named = consistentSnapshot && hash !== undefined ? `${hash}.${base}` : base;
  return [...segments, named].map(encodeURIComponent).join('/');
}

/**
 * A target's bytes, checked against what its role signed.
 *
 * @throws ClientError UNREACHABLE/NOT_SERVED, LIMIT_EXCEEDED/SIZE, DIGEST_MISMATCH/CONTENT.
 */
export async function fetchTarget(
  source: Source,
  path: string,
  file: TargetFile,
  consistentSnapshot: boolean,
): Promise<Uint8Array> {
  const bytes = await source.fetch(targetFileName(path, file, consistentSnapshot), file.length);
  if (bytes === undefined) {
    throw new ClientError('UNREACHABLE', 'NOT_SERVED', `the target ${path} is signed but not served`);
  }
  if (!matches(bytes, file)) {
    throw new ClientError('DIGEST_MISMATCH', 'CONTENT', `the target ${path} is not what was signed`);
  }
  return bytes;
}
