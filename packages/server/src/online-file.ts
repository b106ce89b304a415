/** The two files that the service signs: the snapshot of a head, and the timestamp that names it. */
import {
  encodeEnvelopeText,
  formatDate,
  hexOf,
  limits,
  nextOnlineVersion,
  sha256Of,
  snapshotText,
  specVersion,
  timestampText,
  type Digest,
} from '@mandate/metadata';
import { ServerError } from './error.ts';
import type { ServiceSigner } from './service-keys.ts';

export interface NewSnapshot {
  readonly version: number;
  readonly expiresMs: number;
  readonly bytes: Buffer;
  readonly sha256: string;
  /** The text before the lines of the roles, and behind them. */
  readonly opening: string;
  readonly closing: string;
}

async function sign(text: string, signers: readonly ServiceSigner[]): Promise<Buffer> {
  const message = Buffer.from(text);
  const signatures = await Promise.all(
    signers.map(async (signer) => ({ keyId: signer.keyId, sig: await signer.sign(message) })),
  );
  return Buffer.from(encodeEnvelopeText(text, signatures));
}

export interface OnlineFileContext {
  readonly genesis: Digest;
  readonly signers: readonly ServiceSigner[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimeMs: number;
}

const metaStart = '"meta":{';

export async function makeSnapshot(
  lines: readonly string[],
  previousVersion: number,
  context: OnlineFileContext,
): Promise<NewSnapshot> {
  const { genesis, signers, now, lifetimeMs } = context;
  const version = nextOnlineVersion(previousVersion, now);
  const expiresMs = now + lifetimeMs;
  const text = snapshotText(lines, version, formatDate(expiresMs), genesis, specVersion);
  const bytes = await sign(text, signers);
  if (bytes.length > limits.snapshotBytes) {
    throw new ServerError('LIMIT_EXCEEDED', `the snapshot would be over ${limits.snapshotBytes} bytes`);
  }
  // Names and signatures are ASCII, so characters are bytes.
  const whole = bytes.toString('latin1');
  const start = whole.indexOf(metaStart, whole.indexOf('"signed":{')) + metaStart.length;
  const linesLength = lines.reduce((sum, line) => sum + line.length + 1, -1);
  return {
    version,
    expiresMs,
    bytes,
    sha256: hexOf(sha256Of(bytes)),
    opening: whole.slice(0, start),
    closing: whole.slice(start + linesLength),
  };
}

export interface NewTimestamp {
  readonly version: number;
  readonly expiresMs: number;
  readonly issuedMs: number;
  readonly bytes: Buffer;
}

export async function makeTimestamp(
  snapshot: { version: number; length: number; sha256: string },
  previous: { version: number; issuedMs: number },
  context: OnlineFileContext,
): Promise<NewTimestamp> {
  const { genesis, signers, now, lifetimeMs } = context;
  const version = nextOnlineVersion(previous.version, now);
  // Clients refuse an issue time that goes back; a clock that was set back must not show.
  const issuedMs = Math.max(now, previous.issuedMs);
  const expiresMs = now + lifetimeMs;
  const text = timestampText(
    snapshot,
    version,
    formatDate(expiresMs),
    formatDate(issuedMs),
    genesis,
    specVersion,
  );
  return { version, expiresMs, issuedMs, bytes: await sign(text, signers) };
}
