/** PEM (RFC 7468) taken apart, with the RFC 1421 headers that OpenSSL's older private keys carry. Pure. */
import { SigningError } from './error.ts';

export interface PemBlock {
  /** Such as `PRIVATE KEY` or `CERTIFICATE`. */
  readonly label: string;
  /** From `-----BEGIN` to the end of the `-----END` line, as found. */
  readonly text: string;
  readonly der: Uint8Array;
  /** Whether a passphrase is needed to read the content. */
  readonly encrypted: boolean;
}

/** Every block in order; text around blocks is explanatory and ignored. Linear in its input. @throws SigningError `MALFORMED` */
export function parsePem(text: string): readonly PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let at = text.indexOf('-----BEGIN '); at >= 0;) {
    const labelEnd = text.indexOf('-----', at + 11);
    const label = text.slice(at + 11, labelEnd);
    if (labelEnd < 0 || !/^[A-Z0-9 ]{1,64}$/.test(label)) throw malformed('its first line is damaged');
    const end = text.indexOf(`-----END ${label}-----`, labelEnd);
    if (end < 0) throw malformed(`the block ${label} has no end line`);
    const after = end + label.length + 14;
    blocks.push(parseBlock(label, text.slice(at, after), text.slice(labelEnd + 5, end)));
    at = text.indexOf('-----BEGIN ', after);
  }
  return blocks;
}

function parseBlock(label: string, text: string, inner: string): PemBlock {
  const lines = inner.split(/\r?\n/).map((line) => line.trim());
  const headers = lines.filter((line) => line.includes(':'));
  const base64 = lines.filter((line) => !line.includes(':')).join('');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0) {
    throw malformed(`the block ${label} is not base64`);
  }
  return {
    label,
    text: `${text}\n`,
    der: Buffer.from(base64, 'base64'),
    encrypted:
      label === 'ENCRYPTED PRIVATE KEY' || headers.some((line) => /^Proc-Type:.*ENCRYPTED/.test(line)),
  };
}

/** Lines of 64 characters, as RFC 7468 has them. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function malformed(what: string): SigningError {
  return new SigningError('MALFORMED', `this is not a readable PEM file: ${what}`);
}
