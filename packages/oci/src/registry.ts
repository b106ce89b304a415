/**
 * A client for OCI registries (OCI distribution 1.1): resolves references to digests and moves manifests and small blobs. It
 * believes nothing that it can compute: digests and sizes come from the bytes that arrived.
 */
import { parseDigest, parseRepository, sha256Of } from '@mandate/metadata';
import type { Digest, Repository } from '@mandate/metadata';
import type { Access } from './auth.ts';
import { withDeadline } from './deadline.ts';
import { OciError } from './error.ts';
import { defaultLimits, maxListBytes, maxListPages } from './limits.ts';
import type { RegistryLimits } from './limits.ts';
import { firstPage, nameFrom, pageOf } from './listing.ts';
import { checkManifest } from './manifest.ts';
import { isManifestMediaType, manifestMediaTypes, parseContentType } from './media-type.ts';
import type { ManifestMediaType } from './media-type.ts';
import { formatReference, manifestKey, parseTag } from './reference.ts';
import type { ImageReference, Tag } from './reference.ts';
import { failureOf } from './registry-answer.ts';
import { RegistrySession } from './registry-session.ts';
import type { RegistryHost } from './registry-host.ts';
import type {
  RegistryCall,
  RegistryClientOptions,
  RegistryPlace,
  RepositoryLocation,
} from './registry-session.ts';
import { header } from './transport.ts';
import type { TransportAnswer } from './transport.ts';

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** A manifest whose digest and size were computed from its bytes. */
export interface ResolvedManifest {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: ManifestMediaType;
  readonly bytes: Uint8Array;
}

/** What a registry says of a manifest without sending it. Nothing of it is proven. */
export interface AnnouncedManifest {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly mediaType: ManifestMediaType;
}

export interface BlobDescriptor {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

export class RegistryClient {
  readonly #limits: RegistryLimits;
  readonly #session: RegistrySession;

  constructor(options: RegistryClientOptions = {}) {
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#session = new RegistrySession(options, this.#limits);
  }

  /**
   * Gets the manifest of a reference. A digest in the reference wins over its tag; without either, the tag is `latest`.
   *
   * @throws {OciError} any code but `INVALID_REFERENCE` and `SIZE_MISMATCH`
   */
  async resolve(reference: ImageReference, options: CallOptions = {}): Promise<ResolvedManifest> {
    const what = formatReference(reference);
    const answer = await this.#call(
      reference,
      'pull',
      options,
      manifestRequest('GET', reference, this.#limits.maxManifestBytes),
    );
    if (answer.status !== 200) throw failureOf(answer, what);
    const digest = sha256Of(answer.bytes);
    for (const expected of [reference.digest, announcedDigest(answer)]) {
      if (expected !== undefined && expected !== digest) {
        throw new OciError(
          'DIGEST_MISMATCH',
          `${what}: the registry sent ${digest} in the place of ${expected}`,
        );
      }
    }
    const mediaType = checkManifest(answer.bytes, parseContentType(header(answer.headers, 'content-type')));
    return { digest, size: answer.bytes.length, mediaType, bytes: answer.bytes };
  }

  /**
   * Asks what a reference points to without getting it. For showing and for change detection; a verdict needs {@link resolve}.
   *
   * @throws {OciError} `MALFORMED` when the registry leaves out digest, size or type, and the codes of {@link resolve}
   */
  async head(reference: ImageReference, options: CallOptions = {}): Promise<AnnouncedManifest> {
    const what = formatReference(reference);
    const answer = await this.#call(reference, 'pull', options, manifestRequest('HEAD', reference, 0));
    if (answer.status !== 200) throw failureOf(answer, what);
    const digest = announcedDigest(answer);
    const size = Number(header(answer.headers, 'content-length') ?? Number.NaN);
    const mediaType = parseContentType(header(answer.headers, 'content-type'));
    if (digest === undefined || !Number.isSafeInteger(size)) {
      throw new OciError('MALFORMED', `${what}: the registry does not say digest and size`);
    }
    if (!isManifestMediaType(mediaType))
      throw new OciError('UNSUPPORTED_MEDIA_TYPE', `${what} is not an image or index`);
    if (reference.digest !== undefined && reference.digest !== digest) {
      throw new OciError('DIGEST_MISMATCH', `${what}: the registry answers with ${digest}`);
    }
    return { digest, size, mediaType };
  }

  /**
   * Every repository that the registry lists, page by page (`_catalog`, as docker's registry has it; many hosted ones do not).
   *
   * @throws {OciError} `MALFORMED` for a name that is none, `TOO_LARGE`, and the codes of {@link resolve}
   */
  async *repositories(registry: RegistryHost, options: CallOptions = {}): AsyncGenerator<Repository> {
    for await (const name of this.#list({ registry }, '_catalog', 'repositories', options))
      yield nameFrom(registry, name, parseRepository);
  }

  /**
   * Every tag of a repository, page by page (OCI distribution 1.1, "Listing Tags").
   *
   * @throws {OciError} as {@link repositories}
   */
  async *tags(location: RepositoryLocation, options: CallOptions = {}): AsyncGenerator<Tag> {
    for await (const name of this.#list(location, 'tags/list', 'tags', options))
      yield nameFrom(location.registry, name, parseTag);
  }

  async *#list(
    place: RegistryPlace,
    path: string,
    member: 'repositories' | 'tags',
    options: CallOptions,
  ): AsyncGenerator<string> {
    const { registry, repository } = place;
    const what = `the list of ${repository === undefined ? registry : `${registry}/${repository}`}`;
    let next: string | undefined = firstPage(path);
    for (let pages = 0; next !== undefined; pages += 1) {
      if (pages >= maxListPages) throw new OciError('TOO_LARGE', `${what} has more than ${pages} pages`);
      const call: RegistryCall = { method: 'GET', path: next, maxBytes: maxListBytes };
      const answer = await this.#call(place, 'pull', options, call);
      if (answer.status !== 200) throw failureOf(answer, what);
      const page = pageOf(answer, path, member, what);
      yield* page.names;
      if (page.next === next) throw new OciError('MALFORMED', `${what} leads from a page to the same page`);
      next = page.next;
    }
  }

  /**
   * Gets a blob into memory.
   *
   * @param blob with its size when known; the bytes must then have it
   * @throws {OciError} `TOO_LARGE`, `DIGEST_MISMATCH`, `SIZE_MISMATCH`, and the codes of {@link resolve}
   */
  async getBlob(
    location: RepositoryLocation,
    blob: { readonly digest: Digest; readonly size?: number },
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const what = `${location.registry}/${location.repository}@${blob.digest}`;
    const { maxBlobBytes } = this.#limits;
    if (blob.size !== undefined && blob.size > maxBlobBytes) {
      throw new OciError('TOO_LARGE', `${what} has ${blob.size} bytes; the limit is ${maxBlobBytes}`);
    }
    const answer = await this.#call(location, 'pull', options, {
      method: 'GET',
      path: `blobs/${blob.digest}`,
      maxBytes: blob.size ?? maxBlobBytes,
    });
    if (answer.status !== 200) throw failureOf(answer, what);
    if (blob.size !== undefined && answer.bytes.length !== blob.size) {
      throw new OciError('SIZE_MISMATCH', `${what} has ${answer.bytes.length} bytes, not ${blob.size}`);
    }
    if (sha256Of(answer.bytes) !== blob.digest)
      throw new OciError('DIGEST_MISMATCH', `${what}: the registry sent other bytes`);
    return answer.bytes;
  }

  /** Uploads a blob in one piece, unless the registry has it. */
  async pushBlob(
    location: RepositoryLocation,
    bytes: Uint8Array,
    options: CallOptions = {},
  ): Promise<BlobDescriptor> {
    const digest = sha256Of(bytes);
    const what = `${location.registry}/${location.repository}@${digest}`;
    await withDeadline(this.#limits.timeoutMs, options.signal, async (signal) => {
      const send = (call: RegistryCall): Promise<TransportAnswer> =>
        this.#session.send(location, 'pull,push', call, signal);
      const present = await send({ method: 'HEAD', path: `blobs/${digest}`, maxBytes: 0 });
      if (present.status === 200) return;
      if (present.status !== 404) throw failureOf(present, what);
      const started = await send({ method: 'POST', path: 'blobs/uploads/', maxBytes: 0 });
      const uploadTo = header(started.headers, 'location');
      if (started.status !== 202 || uploadTo === undefined) throw failureOf(started, what);
      const url = this.#session.target(uploadTo, started.url);
      url.searchParams.set('digest', digest);
      const stored = await send({
        method: 'PUT',
        url,
        maxBytes: this.#limits.maxManifestBytes,
        headers: { 'content-type': 'application/octet-stream' },
        body: bytes,
      });
      if (stored.status !== 201) throw failureOf(stored, what);
    });
    return { digest, size: bytes.length };
  }

  /**
   * Stores a manifest under the tag or digest of the reference.
   *
   * @throws {OciError} `DIGEST_MISMATCH` when the reference has another digest than the bytes
   */
  async putManifest(
    reference: ImageReference,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: ManifestMediaType },
    options: CallOptions = {},
  ): Promise<BlobDescriptor> {
    const what = formatReference(reference);
    checkManifest(manifest.bytes, manifest.mediaType);
    if (manifest.bytes.length > this.#limits.maxManifestBytes) {
      throw new OciError(
        'TOO_LARGE',
        `${what}: the manifest is larger than ${this.#limits.maxManifestBytes} bytes`,
      );
    }
    const digest = sha256Of(manifest.bytes);
    if (reference.digest !== undefined && reference.digest !== digest) {
      throw new OciError('DIGEST_MISMATCH', `${what}: the bytes to store have the digest ${digest}`);
    }
    const answer = await this.#call(reference, 'pull,push', options, {
      method: 'PUT',
      path: `manifests/${reference.tag ?? digest}`,
      maxBytes: this.#limits.maxManifestBytes,
      headers: { 'content-type': manifest.mediaType },
      body: manifest.bytes,
    });
    if (answer.status !== 201) throw failureOf(answer, what);
    const stored = announcedDigest(answer);
    if (stored !== undefined && stored !== digest) {
      throw new OciError(
        'DIGEST_MISMATCH',
        `${what}: the registry stored ${stored} in the place of ${digest}`,
      );
    }
    return { digest, size: manifest.bytes.length };
  }

  /** Closes all connections. Calls under way fail. */
  async close(): Promise<void> {
    await this.#session.close();
  }

  #call(
    location: RegistryPlace,
    actions: Access['actions'],
    options: CallOptions,
    call: RegistryCall,
  ): Promise<TransportAnswer> {
    return withDeadline(this.#limits.timeoutMs, options.signal, (signal) =>
      this.#session.send(location, actions, call, signal),
    );
  }
}

function manifestRequest(method: 'GET' | 'HEAD', reference: ImageReference, maxBytes: number): RegistryCall {
  return {
    method,
    path: `manifests/${manifestKey(reference)}`,
    maxBytes,
    headers: { accept: manifestMediaTypes.join(', ') },
  };
}

/** The digest in `Docker-Content-Digest`; one of another algorithm says nothing that we can compare. */
function announcedDigest(answer: TransportAnswer): Digest | undefined {
  const text = header(answer.headers, 'docker-content-digest');
  if (text === undefined || /^sha(?:384|512):/u.test(text)) return undefined;
  try {
    return parseDigest(text);
  } catch (cause) {
    throw new OciError('MALFORMED', `${answer.url.host} announces a digest that is not one`, { cause });
  }
}
