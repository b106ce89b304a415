/**
 * `GET` and `HEAD` under `/tuf/`: nothing but TUF files. It stands before the framework, because nearly every request
 * to a service like this one is for a `timestamp.json` that is in memory.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { limits, parseTargetPath } from '@mandate/metadata';
import Negotiator from 'negotiator';
import { formForOneReader, type Encoding, type Representation, type ServedFile } from './served-file.ts';
import { detachedSegmentOf, type TufAccess } from './tuf-access.ts';
import type { LiveTenant, TufStore } from './tuf-store.ts';

const prefix = '/tuf/';
const versionedForm = /^([1-9][0-9]{0,15})\.([a-z0-9][a-z0-9._~-]*)\.json$/;
const targetForm = /^(?:(.+)\/)?([0-9a-f]{64})\.([^/]+)$/;
const encodings: readonly Encoding[] = ['br', 'gzip', 'identity'];

/** Which part of the tree was asked for, for metrics. */
export type TufKind = 'timestamp' | 'metadata' | 'target' | 'other';

export interface TufHandlerOptions {
  readonly store: TufStore;
  readonly access: TufAccess;
  readonly onRead: (kind: TufKind, status: number) => void;
  /** Answers what is not a file with a problem document. */
  readonly refuse: (request: IncomingMessage, response: ServerResponse, error: unknown) => void;
  readonly notFound: () => Error;
  readonly readOnly: () => Error;
  readonly methodNotAllowed: () => Error;
}

/** Returns whether the request was one of these, and is or will be answered. */
export type TufHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export function createTufHandler(options: TufHandlerOptions): TufHandler {
  const { store, access, onRead, refuse } = options;

  function send(
    request: IncomingMessage,
    response: ServerResponse,
    kind: TufKind,
    form: Representation,
  ): void {
    const wanted = request.headers['if-none-match'];
    if (wanted !== undefined && isMatch(wanted, form.etag)) {
      response.writeHead(304, headersWithoutContent(form));
      response.end();
      onRead(kind, 304);
      return;
    }
    response.writeHead(200, form.headers as string[]);
    if (request.method === 'HEAD') response.end();
    else response.end(form.bytes);
    onRead(kind, 200);
  }

  async function sendLater(request: IncomingMessage, response: ServerResponse, slug: string, path: string) {
    const { live, isCounted, forOneReader } = await access.open(request, slug, path);
    const file = live && (await find(slug, live, path));
    if (file === undefined) {
      if (!isCounted) await access.refused(request);
      throw options.notFound();
    }
    const form = file.isCompressible ? await file.in(encodingOf(request)) : file.plain;
    send(request, response, kindOf(path), forOneReader ? formForOneReader(form) : form);
  }

  async function find(slug: string, live: LiveTenant, path: string): Promise<ServedFile | undefined> {
    const [folder, name] = cut(path);
    if (folder === 'metadata') {
      if (name === 'timestamp.json') {
        if (live.timestamp === undefined) throw options.readOnly();
        return live.timestamp;
      }
      if (name === 'root.json') return store.newestRoot(live);
      const segment = detachedSegmentOf(name);
      if (segment !== undefined) {
        // It has no version in its name, so an old one is no better than an old timestamp.
        if (live.timestamp === undefined) throw options.readOnly();
        return store.detachedAnchor(live.id, segment);
      }
      const [, version, role] = versionedForm.exec(name) ?? [];
      if (version === undefined || role === undefined || role.length > limits.roleNameBytes) return undefined;
      if (role === 'root') return store.root(slug, live, Number(version));
      return store.metadata(live.id, role, Number(version));
    }
    if (folder !== 'targets') return undefined;
    const [, parent, sha256, base] = targetForm.exec(name) ?? [];
    if (sha256 === undefined || base === undefined) return undefined;
    const target = parent === undefined ? base : `${parent}/${base}`;
    return isTargetPath(target) ? store.target(live.id, target, sha256) : undefined;
  }

  return (request, response) => {
    const url = request.url ?? '';
    if (!url.startsWith(prefix)) return false;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      refuse(request, response, options.methodNotAllowed());
      return true;
    }
    const place = placeOf(url);
    if (place?.path === 'metadata/timestamp.json') {
      const live = store.liveNow(place.slug);
      if (live?.timestamp !== undefined) {
        send(request, response, 'timestamp', live.timestamp.plain);
        return true;
      }
    }
    const answer =
      place === undefined
        ? Promise.reject(options.notFound())
        : sendLater(request, response, place.slug, place.path);
    answer.catch((error: unknown) => {
      refuse(request, response, error);
      onRead(place === undefined ? 'other' : kindOf(place.path), response.statusCode);
    });
    return true;
  };
}

function placeOf(url: string): { slug: string; path: string } | undefined {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  const slash = path.indexOf('/', prefix.length);
  if (slash === -1) return undefined;
  const place = { slug: path.slice(prefix.length, slash), path: path.slice(slash + 1) };
  if (!path.includes('%')) return place;
  try {
    // Split before decoding: an encoded slash does not become one that separates.
    const [slug, rest] = [decodeURIComponent(place.slug), place.path.split('/').map(decodeURIComponent)];
    if (slug.includes('/') || rest.some((segment) => segment.includes('/'))) return undefined;
    return { slug, path: rest.join('/') };
  } catch {
    return undefined;
  }
}

function isTargetPath(path: string): boolean {
  try {
    parseTargetPath(path);
    return true;
  } catch {
    return false;
  }
}

function cut(path: string): [string, string] {
  const slash = path.indexOf('/');
  return slash === -1 ? [path, ''] : [path.slice(0, slash), path.slice(slash + 1)];
}

function kindOf(path: string): TufKind {
  if (path === 'metadata/timestamp.json') return 'timestamp';
  if (path.startsWith('metadata/')) return 'metadata';
  return path.startsWith('targets/') ? 'target' : 'other';
}

function encodingOf(request: IncomingMessage): Encoding {
  const [chosen] = new Negotiator(request).encodings([...encodings]);
  return encodings.find((encoding) => encoding === chosen) ?? 'identity';
}

/** Weak comparison (RFC 9110 section 13.1.2). */
function isMatch(wanted: string, etag: string): boolean {
  return (
    wanted === etag || wanted.split(',').some((one) => ['*', etag].includes(one.trim().replace(/^W\//, '')))
  );
}

/** A 304 has the headers of a 200 but those about content (RFC 9110 section 15.4.5). */
function headersWithoutContent(form: Representation): string[] {
  const kept: string[] = [];
  for (let i = 0; i < form.headers.length; i += 2) {
    const name = form.headers[i] ?? '';
    if (!name.startsWith('Content-')) kept.push(name, form.headers[i + 1] ?? '');
  }
  return kept;
}
