/**
 * One GET request and its answer, over Node's own HTTP client: it loads in a fraction of the time that `fetch` takes,
 * which a short command pays each time, and follows no redirect. Connections stay open between requests.
 */
import type { Agent, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { pipeline, type Readable } from 'node:stream';

/** Encodings of bodies that are undone here. */
export const acceptedEncodings = 'gzip, br';
/** Read of an answer that nobody wants, so that its connection can serve again. */
const discardedBytes = 16_384;

export interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  /** Of a 200, without its encoding; undefined where it is longer than was asked for. */
  readonly body: Buffer | undefined;
}

/**
 * @param maxBytes of the body, after decompression; more is not read
 * @throws Error where there is no answer, or its body is cut off or badly encoded
 */
export function get(
  url: URL,
  headers: OutgoingHttpHeaders,
  maxBytes: number,
  signal: AbortSignal,
  agent?: Agent,
): Promise<Answer> {
  const http = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http');
  return new Promise((resolve, reject) => {
    // As after a switch of protocols that nobody asked for.
    const closed = () => reject(new Error('the connection was closed without an answer'));
    const request = http.get(url, { headers, signal, ...(agent === undefined ? {} : { agent }) });
    request.on('error', reject).on('close', closed);
    request.on('response', (response) => {
      request.off('close', closed);
      const status = response.statusCode ?? 0;
      const answer = (body?: Buffer) => resolve({ status, location: response.headers.location, body });
      // Listened to in this very turn: an answer that breaks off before would never say so.
      if (status === 200) collect(decoded(response), maxBytes).then(answer, reject);
      else
        collect(response, discardedBytes).then(
          () => answer(),
          () => answer(),
        );
    });
  });
}

function decoded(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding'];
  if (encoding !== 'gzip' && encoding !== 'br') return response;
  const { createBrotliDecompress, createGunzip } = process.getBuiltinModule('node:zlib');
  const decoder = encoding === 'gzip' ? createGunzip() : createBrotliDecompress();
  // Whoever reads the decoder hears of a failure.
  return pipeline(response, decoder, () => {});
}

/**
 * The whole body; undefined, and its connection closed, where it is longer than `maxBytes`. By events: iterating a stream
 * costs a small file more than its request.
 */
function collect(body: Readable, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve, reject) => {
    body.on('data', (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= maxBytes) return;
      resolve(undefined);
      body.destroy();
    });
    body.on('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length)));
    body.on('error', reject);
    body.on('close', () => reject(new Error('the answer was cut off')));
  });
}
