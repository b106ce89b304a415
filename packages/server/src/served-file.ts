/** A file ready to be served: bytes, validators and headers made once, compressed forms made when first asked for. */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

export type Encoding = 'identity' | 'gzip' | 'br';

export interface Representation {
  readonly bytes: Uint8Array;
  readonly etag: string;
  /** Names and values in turns, as `writeHead` takes them. */
  readonly headers: readonly string[];
}

/** The same for one reader alone: nobody keeps it. */
export function formForOneReader(form: Representation): Representation {
  const headers = [...form.headers];
  headers[headers.indexOf('Cache-Control') + 1] = 'private, no-store';
  return { ...form, headers };
}

/** Below it, compressing saves nothing worth a header. */
const minCompressedBytes = 1_024;

const gzipAsync = promisify(gzip);
const brotliAsync = promisify(brotliCompress);

/** Quality 5 is where Brotli still is about as fast as gzip. */
const brotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } };

export class ServedFile {
  readonly plain: Representation;
  readonly #sha256: string;
  readonly #mediaType: string;
  readonly #cacheControl: string;
  readonly #compressed = new Map<Encoding, Promise<Representation>>();

  /** @param sha256 hex, of the bytes: the strong validator */
  constructor(bytes: Uint8Array, sha256: string, mediaType: string, cacheControl: string) {
    this.#sha256 = sha256;
    this.#mediaType = mediaType;
    this.#cacheControl = cacheControl;
    this.plain = this.#represent(bytes, 'identity');
  }

  get isCompressible(): boolean {
    return this.plain.bytes.length >= minCompressedBytes;
  }

  /** Bytes that it takes in memory, compressed forms included. */
  get size(): number {
    return 1_000 + 2 * this.plain.bytes.length;
  }

  /** The form in this encoding; plain where compressing it fails. */
  async in(encoding: Encoding): Promise<Representation> {
    if (encoding === 'identity' || !this.isCompressible) return this.plain;
    let made = this.#compressed.get(encoding);
    if (made === undefined) {
      made = this.#compress(encoding);
      this.#compressed.set(encoding, made);
    }
    return made;
  }

  async #compress(encoding: 'gzip' | 'br'): Promise<Representation> {
    const { bytes } = this.plain;
    const compressed = encoding === 'gzip' ? await gzipAsync(bytes) : await brotliAsync(bytes, brotliOptions);
    return this.#represent(compressed, encoding);
  }

  #represent(bytes: Uint8Array, encoding: Encoding): Representation {
    const isPlain = encoding === 'identity';
    const etag = isPlain ? `"${this.#sha256}"` : `"${this.#sha256}-${encoding}"`;
    const headers = [
      'Content-Type',
      this.#mediaType,
      'Content-Length',
      String(bytes.length),
      'ETag',
      etag,
      'Cache-Control',
      this.#cacheControl,
      'X-Content-Type-Options',
      'nosniff',
      ...(isPlain ? [] : ['Content-Encoding', encoding]),
      ...(isPlain && bytes.length < minCompressedBytes ? [] : ['Vary', 'Accept-Encoding']),
    ];
    return { bytes, etag, headers };
  }
}
