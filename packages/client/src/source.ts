/** Where the files of one repository come from. A source is never trusted: what it gives is verified afterwards. */
import { ClientError } from './error.ts';

export interface Source {
  /**
   * One file, whole.
   *
   * @param name relative to the source, segments joined by `/`, each percent-encoded where it needs to be
   * @param maxBytes more is not read, decompressed bytes counted
   * @returns undefined where the source says that there is no such file
   * @throws ClientError UNREACHABLE; LIMIT_EXCEEDED/SIZE; FORBIDDEN/CREDENTIALS; MALFORMED/NAME.
   */
  fetch(name: string, maxBytes: number): Promise<Uint8Array | undefined>;
}

/** @throws ClientError MALFORMED/NAME for a name that could leave the source: empty segments, `.`, `..`, backslashes. */
export function requireSafeName(name: string): void {
  const unsafe = (segment: string) => segment === '' || segment === '.' || segment === '..';
  if (/[\\?#\s]/.test(name) || /%2e/i.test(name) || name.split('/').some(unsafe)) {
    throw new ClientError('MALFORMED', 'NAME', `not a file name of a repository: ${JSON.stringify(name)}`);
  }
}

/** @throws ClientError LIMIT_EXCEEDED/SIZE. */
export function tooLarge(name: string, maxBytes: number): ClientError {
  return new ClientError(
    'LIMIT_EXCEEDED',
    'SIZE',
    `${name} is longer than the ${maxBytes} bytes that are read`,
  );
}
