/** The keys of whole tenants: which exist, where they are held, what each may sign. */
import type { TrustedTenant } from '@mandate/client';
import { listKeys, type KeyRecord } from '@mandate/signing';
import { plain } from '../approval.ts';
import type { Context } from '../context.ts';
import { shortKeyId } from '../key-id.ts';
import { loadNamedKeys, type NamedKey } from '../named-key.ts';
import type { Outcome } from '../outcome.ts';
import { inventoryOf, type Inventory, type InventoryKey, type KeyUse } from '../signer/key-inventory.ts';
import { keySetsOf } from '../signer/key-set-walk.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { loadTrust, openTenant, trustedTenant } from '../trust.ts';

/** What this machine knows of keys, beside what is signed. */
interface Known {
  readonly own: readonly KeyRecord[];
  readonly named: readonly NamedKey[];
}

interface TenantInventory extends Inventory {
  readonly tenant: string;
}

async function inventoryIn(context: Context, trusted: TrustedTenant): Promise<TenantInventory> {
  const { tenant } = trusted;
  const base = await context.terminal.progress(`verifying ${tenant}`, async () =>
    verifiedBase(await openTenant(context, trusted), context.now()),
  );
  const keySets = await context.terminal.progress('looking at every role', () => keySetsOf(base));
  return { tenant, ...inventoryOf(keySets) };
}

export async function inventory(context: Context, name: string | undefined): Promise<Outcome> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const known = { own: await listKeys(context.keyFolder), named: await loadNamedKeys(context) };
  const found: TenantInventory[] = [];
  for (const trusted of tenants) found.push(await inventoryIn(context, trusted));
  return {
    text: found.length === 0 ? 'no tenants' : found.map((one) => inventoryText(one, known)).join('\n\n'),
    json: {
      tenants: found.map(({ tenant, keys, tight }) => ({
        tenant,
        keys: keys.map((key) => keyJson(key, known)),
        tight,
      })),
    },
    hints:
      found.length === 0
        ? ['mandate trust add <tenant> --url <service> --genesis <digest>']
        : ["what hangs on one: mandate key impact <key> <tenant>; another person's key: mandate key name"],
  };
}

function ownRecord({ publicKey }: InventoryKey, { own }: Known): KeyRecord | undefined {
  return own.find((record) => record.publicKey.thumbprint === publicKey.thumbprint);
}

function givenName({ publicKey }: InventoryKey, { named }: Known): string | undefined {
  return named.find((one) => one.publicKey.thumbprint === publicKey.thumbprint)?.name;
}

function heldText(key: InventoryKey, known: Known): string {
  const record = ownRecord(key, known);
  if (record !== undefined) return `${record.name}, ${record.heldIn}`;
  const name = givenName(key, known);
  const where = key.online ? 'the service' : 'elsewhere';
  return name === undefined ? where : `${where} (${name}, as named here)`;
}

/** Roles that the key signs in the same way are told once. */
function usesOf({ uses }: InventoryKey): string[][] {
  const groups = new Map<string, KeyUse[]>();
  for (const use of uses) {
    const way = `${use.threshold} of ${use.keys}`;
    groups.set(way, [...(groups.get(way) ?? []), use]);
  }
  return [...groups].flatMap(([way, group]) =>
    group.map(({ role, scope, alone }) => [
      plain(scope === undefined || scope === role ? role : `${role} (${scope})`),
      alone && way !== '1 of 1' ? `${way}, alone enough` : way,
    ]),
  );
}

function marksOf(key: InventoryKey, known: Known): string {
  const publisher = ownRecord(key, known)?.publisher;
  return [
    ...(key.online ? ['online'] : []),
    ...(key.managed ? ['managed'] : []),
    ...(key.uses.length > 1 ? [`${key.uses.length} roles`] : []),
    ...(publisher === undefined ? [] : [`certificate claims ${plain(publisher.subject)}`]),
  ].join(', ');
}

function keyRows(key: InventoryKey, known: Known): string[][] {
  const [keyId = ''] = key.keyIds;
  const facts = [shortKeyId(keyId), key.publicKey.scheme, heldText(key, known), marksOf(key, known)];
  return usesOf(key).map((use, at) => [...(at === 0 ? facts : facts.map(() => '')), ...use]);
}

function inventoryText({ tenant, keys, tight }: TenantInventory, known: Known): string {
  const head = ['key id', 'scheme', 'held', 'marks', 'may sign', 'by'];
  const rows = keys.flatMap((key) => keyRows(key, known));
  const lines = tight.map(
    ({ role, threshold, keys: count }) =>
      `  ${plain(role)}, ${threshold} of ${count}${count < threshold ? ': CANNOT BE SIGNED' : ''}`,
  );
  return [
    `keys of tenant ${tenant}: ${keys.length}`,
    table(head, rows),
    ...(lines.length === 0 ? [] : ['no key to spare, losing one stops the role:', ...lines]),
  ].join('\n');
}

function keyJson(key: InventoryKey, known: Known): object {
  const { publicKey, keyIds, uses, online, managed } = key;
  const record = ownRecord(key, known);
  const name = givenName(key, known);
  return {
    keyIds,
    keyType: publicKey.wire['keytype'],
    scheme: publicKey.scheme,
    thumbprint: publicKey.thumbprint,
    online,
    managed,
    ...(record === undefined ? {} : { own: { name: record.name, heldIn: record.heldIn } }),
    ...(record?.publisher === undefined ? {} : { certificateClaims: record.publisher.subject }),
    ...(name === undefined ? {} : { namedHere: name }),
    uses,
  };
}
