/**
 * The public keys of an issuer: fetched when first needed, kept, and asked for anew when a token names a key that is not
 * among them, at a bounded rate. What a token itself says about where keys are (`jwk`, `jku`, `x5c`, `x5u`) is not read.
 */
import type { KeyObject } from 'node:crypto';
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { hasCode, ServerError } from './error.ts';
import { isKeyUrl, type KeyPlace, type TrustedIssuer } from './issuer.ts';

const maxDocumentBytes = 262_144;
const timeoutMs = 5_000;
const maxKeys = 100;

/** Keys to try in turn, or what finds one by a token's key id. */
export type IssuerKeys = readonly KeyObject[] | JWTVerifyGetKey;

export function keysOf(issuer: TrustedIssuer): IssuerKeys {
  const { keys, keyCooldownMs, keyLifetimeMs } = issuer;
  if (keys.kind === 'fixed') return keys.keys;
  let failedAt = -Infinity;
  return createRemoteJWKSet(new URL(keys.url), {
    cooldownDuration: keyCooldownMs,
    cacheMaxAge: keyLifetimeMs,
    timeoutDuration: timeoutMs,
    // Every fetch goes through here. The library counts its cool-down from the last success; this one from a failure.
    [customFetch]: async (_url, { signal }) => {
      if (performance.now() - failedAt < keyCooldownMs) throw unavailable(issuer);
      try {
        const document = await fetchDocument(await jwksUrlOf(keys, issuer.issuer, signal), signal);
        return Response.json(keySetSchema.parse(JSON.parse(document)));
      } catch (error) {
        failedAt = performance.now();
        throw hasCode(error, 'UNAVAILABLE') ? error : unavailable(issuer, error);
      }
    },
  });
}

function unavailable({ issuer }: TrustedIssuer, cause?: unknown): ServerError {
  return new ServerError('UNAVAILABLE', `the keys of ${issuer} cannot be had now; try again in a moment`, {
    cause,
  });
}

/** Their own form is the library's to check, key by key, when one is used. */
const keySetSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(maxKeys) });

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** OpenID Connect Discovery 1.0, section 4: the document has to be about this very issuer. */
async function jwksUrlOf(
  place: Exclude<KeyPlace, { kind: 'fixed' }>,
  issuer: string,
  signal: AbortSignal,
): Promise<string> {
  if (place.kind === 'jwks') return place.url;
  const found = discoverySchema.parse(JSON.parse(await fetchDocument(place.url, signal)));
  if (found.issuer !== issuer || !isKeyUrl(found.jwks_uri, place.allowLoopback))
    throw new ServerError(
      'CONFIGURATION',
      `${place.url} is about another issuer, or names keys elsewhere than on https`,
    );
  return found.jwks_uri;
}

/** No redirect, limited while it streams in. */
async function fetchDocument(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { redirect: 'error', signal, headers: { accept: 'application/json' } });
  if (response.status !== 200) throw new ServerError('CONFIGURATION', `${url} answers ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > maxDocumentBytes) throw new ServerError('CONFIGURATION', `${url} is too long`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length).toString();
}
