/**
 * Lists that a registry gives page by page: tags (OCI distribution 1.1, "Listing Tags") and docker's `_catalog`. A page
 * names the next in a `Link` header (RFC 8288). Of that only the query counts: behind a proxy the rest is often wrong.
 */
import { OciError } from './error.ts';
import { listPageNames } from './limits.ts';
import type { RegistryHost } from './registry-host.ts';
import { header } from './transport.ts';
import type { TransportAnswer } from './transport.ts';

export interface ListPage {
  readonly names: readonly string[];
  /** Path and query of the page after it, as {@link firstPage} has it; undefined for the last. */
  readonly next: string | undefined;
}

export function firstPage(path: string): string {
  return `${path}?n=${listPageNames}`;
}

/** @throws {OciError} `MALFORMED` */
export function pageOf(
  answer: TransportAnswer,
  path: string,
  member: 'repositories' | 'tags',
  what: string,
): ListPage {
  const names = namesIn(answer.bytes, member);
  if (names === undefined) throw new OciError('MALFORMED', `${what} is not a list of names`);
  const link = header(answer.headers, 'link');
  return { names, next: link === undefined ? undefined : nextIn(link, answer.url, path, what) };
}

/** `null` is how some registries write an empty list. */
function namesIn(bytes: Uint8Array, member: string): readonly string[] | undefined {
  let body: unknown;
  try {
    body = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof body !== 'object' || body === null || !(member in body)) return undefined;
  const names = (body as Record<string, unknown>)[member] ?? [];
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string');
  return isList ? names : undefined;
}

function nextIn(link: string, base: URL, path: string, what: string): string | undefined {
  const found = /<([^>]*)>\s*;[^,]*\brel="?next"?/iu.exec(link)?.[1];
  if (found === undefined) return undefined;
  const query = URL.parse(found, base.href)?.search ?? '';
  if (query === '') throw new OciError('MALFORMED', `${what} names a next page that is none`);
  return `${path}${query}`;
}

/** A name of a list, parsed. @throws {OciError} `MALFORMED` */
export function nameFrom<T>(registry: RegistryHost, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (cause) {
    throw new OciError('MALFORMED', `${registry} lists a name that is none`, { cause });
  }
}
