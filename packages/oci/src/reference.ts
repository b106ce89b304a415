/**
 * Image references: `[host[:port]/]name[:tag][@sha256:hex]` (OCI distribution 1.1, and the rules that docker adds for
 * references without a host). Parsing writes out every default but the tag, so one image has one spelling.
 */
import { parseDigest, parseRepository } from '@mandate/metadata';
import type { Digest, Repository } from '@mandate/metadata';
import { OciError } from './error.ts';
import { dockerHub, parseRegistryHost } from './registry-host.ts';
import type { RegistryHost } from './registry-host.ts';

declare const brand: unique symbol;

/** A tag: a letter, digit or `_`, then at most 127 of those and `.` and `-`. */
export type Tag = string & { readonly [brand]: 'Tag' };

export interface ImageReference {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  readonly tag?: Tag;
  readonly digest?: Digest;
}

/** Host, slash and repository together. Longer names break clients and registries in practice. */
const maxNameLength = 255;
const maxReferenceLength = maxNameLength + 1 + 128 + 1 + 256;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/u;
const digestPattern = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([A-Za-z0-9=_-]{1,200})$/u;

/** @throws {OciError} `INVALID_REFERENCE`, `UNSUPPORTED_DIGEST` */
export function parseReference(text: string): ImageReference {
  if (text.length > maxReferenceLength) throw invalid(text, 'it is too long');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : parseReferenceDigest(text, text.slice(at + 1));
  const named = at < 0 ? text : text.slice(0, at);
  // A colon after the last slash starts a tag; before it, it belongs to host:port.
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon < 0 ? undefined : parseTag(named.slice(colon + 1));
  const { registry, path } = splitHost(colon < 0 ? named : named.slice(0, colon));
  if (/^[0-9a-f]{64}$/u.test(path)) throw invalid(text, 'a bare 64-digit hex name could be an image id');
  const repository = parsePath(
    text,
    registry === dockerHub && !path.includes('/') ? `library/${path}` : path,
  );
  if (registry.length + 1 + repository.length > maxNameLength) {
    throw invalid(text, `host and name together are longer than ${maxNameLength} characters`);
  }
  return {
    registry,
    repository,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The full spelling: `docker.io/library/alpine:3`. `parseReference` of it gives an equal reference. */
export function formatReference(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${reference.registry}/${reference.repository}${tag}${digest}`;
}

/** @throws {OciError} `INVALID_REFERENCE` */
export function parseTag(text: string): Tag {
  if (!tagPattern.test(text)) {
    throw new OciError(
      'INVALID_REFERENCE',
      `${JSON.stringify(text.slice(0, 200))} is not a tag (letters, digits, _ . -; at most 128)`,
    );
  }
  return text as Tag;
}

/** What to ask the registry for: the digest when there is one, else the tag, else `latest` as docker does. */
export function manifestKey(reference: ImageReference): Digest | Tag {
  return reference.digest ?? reference.tag ?? ('latest' as Tag);
}

/** The first component is a host if it has a `.` or `:`, or is `localhost`; else the image is on Docker Hub. */
function splitHost(name: string): { registry: RegistryHost; path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  if (/[.:]/u.test(first) || first.toLowerCase() === 'localhost') {
    return { registry: parseRegistryHost(first), path: name.slice(slash + 1) };
  }
  return { registry: dockerHub, path: name };
}

function parsePath(text: string, path: string): Repository {
  try {
    return parseRepository(path);
  } catch (cause) {
    throw invalid(text, 'the name has lower-case letters and digits, separated by . _ __ - or /', cause);
  }
}

function parseReferenceDigest(text: string, digest: string): Digest {
  const match = digestPattern.exec(digest);
  if (match === null) throw invalid(text, 'what follows @ is not algorithm:hex');
  if (match[1] !== 'sha256') {
    throw new OciError('UNSUPPORTED_DIGEST', `digest algorithm ${match[1]} is not supported; use sha256`);
  }
  try {
    return parseDigest(digest);
  } catch (cause) {
    throw invalid(text, 'a sha256 digest has 64 lower-case hex digits', cause);
  }
}

function invalid(text: string, why: string, cause?: unknown): OciError {
  return new OciError(
    'INVALID_REFERENCE',
    `${JSON.stringify(text.slice(0, maxNameLength))} is not an image reference: ${why}`,
    cause === undefined ? undefined : { cause },
  );
}
