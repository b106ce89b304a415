/** Names that this machine gives to keys of other people. */
import { keyIdOf, type KeyId, type PublicKey } from '@mandate/metadata';
import { listKeys, parseKeyName } from '@mandate/signing';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { chosenKey, isKeyIdText } from '../key-choice.ts';
import { shortKeyId } from '../key-id.ts';
import { forgetName, nameKey } from '../named-key.ts';
import type { Outcome } from '../outcome.ts';
import { keysOfTenant } from '../signer/key-impact.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { loadTrust, openTenant, trustedTenant } from '../trust.ts';

/** Every key that tenants name which this machine trusts. */
async function keysAround(
  context: Context,
  name: string | undefined,
): Promise<ReadonlyMap<KeyId, PublicKey>> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const keys = new Map<KeyId, PublicKey>();
  for (const trusted of tenants) {
    const load = async (): Promise<ReadonlyMap<KeyId, PublicKey>> =>
      keysOfTenant(await verifiedBase(await openTenant(context, trusted), context.now()));
    for (const key of (await context.terminal.progress(`verifying ${trusted.tenant}`, load)).values())
      keys.set(keyIdOf(key), key);
  }
  return keys;
}

export async function nameCommand(
  context: Context,
  text: string,
  name: string,
  { tenant }: { tenant?: string },
): Promise<Outcome> {
  const keyName = parseKeyName(name);
  const known = isKeyIdText(text) ? await keysAround(context, tenant) : new Map<KeyId, PublicKey>();
  const publicKey = await chosenKey(keyringOf(context, []), text, known);
  const keyId = keyIdOf(publicKey);
  const own = await listKeys(context.keyFolder);
  const same = own.find((one) => one.publicKey.thumbprint === publicKey.thumbprint);
  if (same !== undefined)
    throw new CliError('EXISTS', `it is a key of this machine, called ${same.name}`, { keys: [keyId] });
  if (own.some((one) => one.name === keyName))
    throw new CliError('EXISTS', `a key of this machine is called ${keyName}`, {
      next: 'choose another name',
    });
  await nameKey(context, { name: keyName, publicKey });
  return {
    text: `key ${shortKeyId(keyId)} is called ${keyName} on this machine`,
    json: { name: keyName, keyId, thumbprint: publicKey.thumbprint },
    hints: [`compare the whole id with its holder: ${keyId}`],
  };
}

export async function unname(context: Context, name: string): Promise<Outcome> {
  await forgetName(context, name);
  return { text: `no key of somebody else is called ${name} any more`, json: { name } };
}
