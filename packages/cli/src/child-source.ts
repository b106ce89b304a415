/**
 * Where the metadata of an anchored tenant is fetched from. An anchor's URLs are its parent's word: they lead to the origin
 * of the pinned tenant, to origins that the configuration names, and else only over https to public addresses.
 */
import { isIP } from 'node:net';
import {
  ClientError,
  FallbackSource,
  HttpSource,
  type HttpSourceOptions,
  type OpenChild,
  type Source,
  type TrustedTenant,
} from '@mandate/client';
import type { Context } from './context.ts';
import { readingToken, storeOf } from './trust.ts';

/** Loaded where it is needed: most tenants are where their parent is. */
async function publicSource(url: URL, { token }: HttpSourceOptions): Promise<Source | undefined> {
  const { addressClass, guardedHttpsAgent } = await import('@mandate/oci');
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && addressClass(literal) !== 'public') return undefined;
  return new HttpSource(url.href, { token, agent: guardedHttpsAgent(new Set(['public'])) });
}

/** The login for a service goes along to that service and nowhere else, wherever anchors lead. */
export function openChildOf(
  context: Context,
  { metadataUrl, origins = [] }: Pick<TrustedTenant, 'metadataUrl' | 'origins'>,
): OpenChild {
  const open = new Set([new URL(metadataUrl).origin, ...origins]);
  return async (child, { genesis, metadataUrls }) => {
    const sources: Source[] = [];
    let detachedAnchors = false;
    for (const text of metadataUrls) {
      const url = new URL(text);
      const token = await readingToken(context, text);
      const source = open.has(url.origin)
        ? new HttpSource(text, { token })
        : url.protocol === 'https:'
          ? await publicSource(url, { token })
          : undefined;
      if (source === undefined) continue;
      sources.push(source);
      detachedAnchors ||= token !== undefined;
    }
    const [first, ...more] = sources;
    if (first === undefined) {
      const places = [...new Set(metadataUrls.map((url) => new URL(url).origin))].join(', ');
      const message = `tenant ${child} is at ${places}, where this machine does not follow anchors; trust add has --allow-origin`;
      throw new ClientError('UNREACHABLE', 'ADDRESS', message);
    }
    return {
      source: new FallbackSource([first, ...more]),
      store: storeOf(context, genesis),
      detachedAnchors,
    };
  };
}
