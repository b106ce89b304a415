/** One person's signing of one tenant: the keys, the service, the verified base, and the look at what will be signed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Publication } from '@mandate/api';
import { passphraseFrom } from '@mandate/signing';
import type { TrustedTenant } from '@mandate/client';
import { approve, differenceText } from '../approval.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { failureOf } from '../failure.ts';
import { Keyring } from '../keyring.ts';
import { loginFor } from '../login.ts';
import type { SigningOptions } from '../option.ts';
import { Service } from '../service.ts';
import { openTenant, serviceOf } from '../trust.ts';
import type { Difference } from './difference.ts';
import type { Draft } from './draft.ts';
import { publish, type Published } from './publish.ts';
import { verifiedBase, type TenantSource } from './verified-base.ts';

/** How long a signed role file is good for, unless said otherwise. */
export const roleLifetime = '1y';

export interface Change<Result> {
  readonly trusted: TrustedTenant;
  readonly options: SigningOptions;
  /** Keys of a role that is being created: they may sign, whatever `options` chooses. */
  readonly alsoKeys?: readonly string[];
  readonly write: (draft: Draft, keyring: Keyring) => Promise<Result>;
  /** What a person should know besides the difference. */
  readonly remarks?: (result: Result, difference: Difference) => readonly string[];
}

export function keyringOf(
  { keyFolder, env, terminal }: Context,
  chosen: readonly string[],
  also: readonly string[] = [],
): Keyring {
  return new Keyring({ keyFolder, passphrase: passphraseFrom(env, terminal.askPassphrase), chosen, also });
}

export async function signChange<Result>(
  context: Context,
  change: Change<Result>,
): Promise<Published<Result>> {
  const { trusted, options } = change;
  const login = await loginFor(
    context,
    options.service ?? (context.env['MANDATE_SERVICE'] || serviceOf(trusted)),
  );
  const keyring = keyringOf(context, options.key ?? [], change.alsoKeys);
  try {
    return await signWith(context, change, new Service(login), keyring);
  } finally {
    await keyring.close();
  }
}

async function signWith<Result>(
  context: Context,
  change: Change<Result>,
  service: Service,
  keyring: Keyring,
): Promise<Published<Result>> {
  const { trusted, options } = change;
  const tenant = await openTenant(context, trusted);
  const names = await keyring.names();
  const published = await publish({
    tenant: trusted.tenant,
    service,
    keyring,
    base: () =>
      context.terminal.progress(`verifying ${trusted.tenant}`, () => verifiedBase(tenant, context.now())),
    expires: context.now() + parseDuration(options.expires ?? roleLifetime),
    change: (draft) => change.write(draft, keyring),
    approve: async (difference, result) => {
      const remarks = change.remarks?.(result, difference) ?? [];
      const head = `To be signed for tenant ${trusted.tenant}:`;
      const text = [head, differenceText(difference, names, context.now()), ...remarks].join('\n');
      await approve(context, text, options);
    },
    retryForMs: parseDuration(options.retryFor ?? '1m'),
    now: context.now,
    progress: (what, work) => context.terminal.progress(what, work),
  });
  await seeIt(context, tenant, published.publication);
  return published;
}

/** A process of the service that did not accept the publication may serve the state before it for a moment. */
const seenAfterMs = [0, 300, 1_000] as const;

/**
 * Looks at what the service serves now: from here on this machine accepts nothing older than what it signed. The
 * publication stands either way, so trouble is said and fails nothing.
 */
async function seeIt(context: Context, tenant: TenantSource, publication: Publication): Promise<void> {
  const { terminal, now } = context;
  try {
    for (const pauseMs of seenAfterMs) {
      await sleep(pauseMs);
      const { trusted } = await verifiedBase(tenant, now());
      if ((trusted.timestamp?.file.version ?? 0) >= publication.timestampVersion) return;
    }
    terminal.note('warning: published, but the service still serves the state before');
  } catch (error) {
    const { code, message } = failureOf(error);
    terminal.note(
      `warning: published, but what the service serves now does not verify: ${message} (${code})`,
    );
  }
}

/** What every publication tells a program. */
export function publicationJson({ publication, rebased }: Published<unknown>): object {
  const { id, versions, snapshotVersion, timestampVersion } = publication;
  return { publication: id, versions, snapshotVersion, timestampVersion, rebased };
}
