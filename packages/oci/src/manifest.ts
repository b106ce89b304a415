/** Manifests and indexes as bytes (OCI image specification 1.1, docker image manifest 2.2). Pure. */
import { parseDigest, parseJson } from '@mandate/metadata';
import type { Digest } from '@mandate/metadata';
import { OciError } from './error.ts';
import { maxIndexChildren } from './limits.ts';
import { isIndexMediaType, isManifestMediaType } from './media-type.ts';
import type { ManifestMediaType } from './media-type.ts';

/** What an index says about one of its manifests. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly artifactType?: string;
  readonly platform?: Platform;
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/**
 * Checks that the bytes are a manifest of the kind that the registry says.
 *
 * @param contentType media type of the `Content-Type` header, without parameters
 * @throws {OciError} `UNSUPPORTED_MEDIA_TYPE`, `MALFORMED`
 */
export function checkManifest(bytes: Uint8Array, contentType: string): ManifestMediaType {
  if (!isManifestMediaType(contentType)) {
    throw new OciError(
      'UNSUPPORTED_MEDIA_TYPE',
      `the manifest is of type ${JSON.stringify(contentType.slice(0, 100))}, which is not an image or index`,
    );
  }
  const manifest = parseObject(bytes);
  const mediaType = manifest.get('mediaType');
  if (mediaType !== undefined && mediaType !== contentType) {
    throw new OciError(
      'MALFORMED',
      `the manifest's own media type is not ${contentType}, as the registry says`,
    );
  }
  if (manifest.get('schemaVersion') !== 2)
    throw new OciError('MALFORMED', 'the manifest has no schemaVersion 2');
  // Bytes that read as an image to one program and as an index to another (CVE-2021-41190). Some readers ignore case.
  const forbidden = isIndexMediaType(contentType)
    ? ['config', 'layers', 'fslayers']
    : ['manifests', 'fslayers'];
  for (const name of manifest.keys()) {
    if (forbidden.includes(name.toLowerCase()))
      throw new OciError('MALFORMED', `a manifest of type ${contentType} has no ${name}`);
  }
  return contentType;
}

/**
 * The manifests that an index lists, in its order; none for an image manifest.
 *
 * @param mediaType as {@link checkManifest} returned it for the same bytes
 * @throws {OciError} `MALFORMED`, `UNSUPPORTED_DIGEST`, `TOO_LARGE` beyond 1000 entries
 */
export function manifestChildren(bytes: Uint8Array, mediaType: ManifestMediaType): Descriptor[] {
  checkManifest(bytes, mediaType);
  if (!isIndexMediaType(mediaType)) return [];
  const entries = parseObject(bytes).get('manifests');
  if (!Array.isArray(entries)) throw new OciError('MALFORMED', 'the index has no list of manifests');
  if (entries.length > maxIndexChildren)
    throw new OciError('TOO_LARGE', `the index lists more than ${maxIndexChildren} manifests`);
  return entries.map(parseDescriptor);
}

function parseDescriptor(value: unknown): Descriptor {
  const entry = asMap(value, 'an entry of the index');
  const mediaType = entry.get('mediaType');
  const size = entry.get('size');
  const artifactType = entry.get('artifactType');
  const platform = entry.get('platform');
  if (typeof mediaType !== 'string' || mediaType === '')
    throw new OciError('MALFORMED', 'an entry of the index has no media type');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new OciError('MALFORMED', 'an entry of the index has no size');
  }
  return {
    mediaType,
    digest: parseAnyDigest(entry.get('digest')),
    size,
    ...(typeof artifactType === 'string' ? { artifactType } : {}),
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
  };
}

function parsePlatform(value: unknown): Platform {
  const platform = asMap(value, 'a platform');
  const os = platform.get('os');
  const architecture = platform.get('architecture');
  const variant = platform.get('variant');
  if (typeof os !== 'string' || typeof architecture !== 'string')
    throw new OciError('MALFORMED', 'a platform lacks os or architecture');
  return { os, architecture, ...(typeof variant === 'string' ? { variant } : {}) };
}

function parseAnyDigest(value: unknown): Digest {
  const text = typeof value === 'string' ? value : '';
  if (/^sha(?:384|512):/u.test(text))
    throw new OciError('UNSUPPORTED_DIGEST', 'an entry of the index has a digest other than sha256');
  try {
    return parseDigest(text);
  } catch (cause) {
    throw new OciError('MALFORMED', 'an entry of the index has no sha256 digest', { cause });
  }
}

function parseObject(bytes: Uint8Array): Map<string, unknown> {
  try {
    // Broken UTF-8 and duplicate members would read differently elsewhere; both are refused.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return asMap(parseJson(text).value, 'the manifest');
  } catch (cause) {
    if (cause instanceof OciError) throw cause;
    throw new OciError('MALFORMED', 'the manifest is not strict JSON in UTF-8', { cause });
  }
}

function asMap(value: unknown, what: string): Map<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new OciError('MALFORMED', `${what} is not a JSON object`);
  return new Map(Object.entries(value));
}
