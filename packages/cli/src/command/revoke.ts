import type { Command } from 'commander';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { chosenKey } from '../key-choice.ts';
import { addSigningOptions, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { keysOfTenant } from '../signer/key-impact.ts';
import { revokeKey, type Revocation } from '../signer/revoke-key.ts';
import { outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import { trustedTenant } from '../trust.ts';
import { rootLifetime } from './tenant-founding.ts';

interface Options extends SigningOptions {
  readonly eject?: boolean;
  readonly replaceWith?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  const revoke = program.command('revoke').description('Take something back everywhere at once');
  revoke.addHelpText('after', '\nExample:\n  $ mandate revoke key 3f0c91ab22de acme\n');
  const command = revoke
    .command('key')
    .description('Take a lost or stolen key out of every role; what stands is signed again by the others')
    .argument('<key>', 'a name, <file>.pub.json, or the first digits of its id')
    .argument('<tenant>', 'the tenant')
    .option('--eject', 'drop what only this key vouched for, rather than sign it again')
    .option('--replace-with <key>', 'put this key in its place: a name or <file>.pub.json');
  addSigningOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate revoke key bob.pub.json acme\n\nLook first: mandate key impact bob.pub.json acme\n',
    )
    .action(action(run));
}

function explained({ takenBack, ejected, surfaced }: Revocation, { eject = false }: Options): string[] {
  const back = takenBack.map(
    ({ role, delegator }) =>
      `  role ${role} would have too few keys: ${delegator} takes it back` +
      (eject ? '' : ', and a wider role vouches for what it listed where there is one') +
      '; --replace-with <key> keeps it',
  );
  return [
    ...back,
    ...listed(`nobody will vouch for these ${ejected.length} entries any more`, ejected),
    ...listed('older entries of a wider role that count again', surfaced),
  ];
}

function listed(what: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return [];
  return [
    `  ${what}:`,
    ...paths.slice(0, 20).map((path) => `    ${plain(path)}`),
    ...(paths.length > 20 ? [`    ... and ${paths.length - 20} more`] : []),
  ];
}

async function run(context: Context, keyText: string, name: string, options: Options): Promise<Outcome> {
  const trusted = await trustedTenant(context, name);
  const { tenant } = trusted;
  const { replaceWith } = options;
  const published = await signChange(context, {
    trusted,
    options,
    ...(replaceWith === undefined ? {} : { alsoKeys: [replaceWith] }),
    async write(draft, keyring) {
      const key = await chosenKey(keyring, keyText, await keysOfTenant(draft.base));
      const replacement = replaceWith === undefined ? undefined : await keyring.publicKey(replaceWith);
      const rootExpires = context.now() + parseDuration(rootLifetime);
      return revokeKey(draft, key, { replacement, eject: options.eject === true, rootExpires });
    },
    remarks: (revocation) => explained(revocation, options),
  });
  const { rekeyed, takenBack, ejected, surfaced } = published.result;
  const back = takenBack.length === 0 ? '' : `; taken back: ${takenBack.map(({ role }) => role).join(', ')}`;
  return outcomeOf(published, tenant, {
    text: `revoked the key in tenant ${tenant}: ${rekeyed.join(', ') || 'no role keeps other keys'}${back}; ${ejected.length} entries are no longer vouched for`,
    json: { tenant, rekeyed, takenBack, ejected, surfaced, ...publicationJson(published) },
    hints: [`nothing rests on it any more: mandate key impact ${keyText} ${tenant}`],
  });
}
