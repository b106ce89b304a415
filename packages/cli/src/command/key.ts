import { readFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import {
  generateKey,
  generateKeyAt,
  importPem,
  importPkcs12,
  listKeys,
  passphraseFrom,
  registerKey,
  showKey,
  type KeyAlgorithm,
  type KeyRecord,
} from '@mandate/signing';
import type { TrustedTenant } from '@mandate/client';
import { formatDate, keyIdOf } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { chosenKey } from '../key-choice.ts';
import { shortKeyId } from '../key-id.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { keyImpact, keysOfTenant, type KeyImpact } from '../signer/key-impact.ts';
import { keyringOf } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { loadTrust, openTenant, trustedTenant } from '../trust.ts';

const algorithms: readonly KeyAlgorithm[] = ['ed25519', 'ecdsa-p256', 'ecdsa-p384'];

export function register(program: Command, action: ActionWrapper): void {
  const key = program.command('key').description('The keys of this machine: make, import and list them');
  key.addHelpText('after', '\nExample:\n  $ mandate key generate release\n');
  key
    .command('generate')
    .description('Make a key, kept in a file that a passphrase encrypts')
    .argument('<name>', 'what you will call it')
    .option('--at <uri>', 'make it inside a token or cloud that can: pkcs11:..., awskms:...')
    .addOption(new Option('--algorithm <algorithm>', 'kind of key').choices(algorithms).default('ed25519'))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate key generate release\n\nThe passphrase is asked for, or comes from MANDATE_PASSPHRASE or MANDATE_PASSPHRASE_FILE.\n',
    )
    .action(action(generate));
  key
    .command('import')
    .description('Keep a private key from a PEM or PKCS#12 file, or the name of one that is held elsewhere')
    .argument('<name>', 'what you will call it')
    .argument('<source>', 'PEM, .p12 or .pfx file; or a key URI: pkcs11:..., awskms:..., exec:...')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate key import release ./release.p12\n\nThe passphrase of the file is asked for, or comes from MANDATE_IMPORT_PASSPHRASE or MANDATE_IMPORT_PASSPHRASE_FILE.\n',
    )
    .action(action(importKey));
  key
    .command('list')
    .description('The keys of this machine')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate key list\n')
    .action(action(list));
  key
    .command('show')
    .description('One key: its id, its public half, and where the private half is')
    .argument('<name>', 'the name of the key')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate key show release\n')
    .action(action(show));
  key
    .command('export')
    .description('Print the public record of a key, for others: what they give it a role with')
    .argument('<name>', 'the name of the key')
    .option('--json', 'print JSON; the record is JSON already')
    .addHelpText('after', '\nExample:\n  $ mandate key export bob > bob.pub.json\n')
    .action(action(exportKey));
  key
    .command('impact')
    .description(
      'What hangs on a key: its roles, what only it vouched for, what falls below threshold without it',
    )
    .argument('<key>', 'a name, <file>.pub.json, or the first digits of its id')
    .argument('[tenant]', 'the tenant (default: every one that is trusted)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate key impact bob.pub.json acme\n')
    .action(action(impact));
}

function passphrase({ env, terminal }: Context): ReturnType<typeof passphraseFrom> {
  return passphraseFrom(env, terminal.askPassphrase);
}

function describe({ name, keyId, publicKey, created, heldIn, publisher }: KeyRecord): object {
  return {
    name,
    keyId,
    scheme: publicKey.scheme,
    thumbprint: publicKey.thumbprint,
    key: publicKey.wire,
    created: new Date(created).toISOString(),
    heldIn,
    ...(publisher === undefined
      ? {}
      : { publisher: { ...publisher, notAfter: new Date(publisher.notAfter).toISOString() } }),
  };
}

function made(record: KeyRecord, verb: string): Outcome {
  return {
    text: `${verb} key ${record.name}, ${record.publicKey.scheme}, key id ${record.keyId}`,
    json: describe(record),
    hints: [
      'a lost passphrase cannot be recovered; keep a copy of key and passphrase in two safe places',
      `next: mandate tenant create <tenant> --key ${record.name}, or mandate delegate <tenant> '**' --key ${record.name}`,
    ],
  };
}

async function generate(
  context: Context,
  name: string,
  { algorithm, at }: { algorithm: KeyAlgorithm; at?: string },
): Promise<Outcome> {
  const { keyFolder, now } = context;
  if (at !== undefined) {
    const signer = await generateKeyAt(at, algorithm, { keyFolder, passphrase: passphrase(context) });
    try {
      return await keepRecord(context, name, signer.uri, 'made');
    } finally {
      await signer.close?.();
    }
  }
  const record = await generateKey({
    keyFolder,
    name,
    passphrase: passphrase(context),
    now: now(),
    algorithm,
  });
  return made(record, 'made');
}

/** A key that stays where it is: only its public record is kept here. */
async function keepRecord(context: Context, name: string, uri: string, verb: string): Promise<Outcome> {
  const { keyFolder, now } = context;
  const record = await registerKey({ keyFolder, name, uri, passphrase: passphrase(context), now: now() });
  return {
    ...made(record, verb),
    hints: [`it stays where it is held, ${record.heldIn}; from here on ${name} opens it`],
  };
}

async function importKey(context: Context, name: string, file: string): Promise<Outcome> {
  const { keyFolder, now } = context;
  // A file may have a colon in its name; then it is written with a path.
  if (/^[a-z][a-z0-9+.-]*:/.test(file)) return keepRecord(context, name, file, 'registered');
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new CliError('FILE', `${file} cannot be read`, { cause });
  });
  const options = { keyFolder, name, passphrase: passphrase(context), now: now(), source: file };
  const isPem = bytes.includes('-----BEGIN ');
  const record = await (isPem
    ? importPem({ ...options, pem: bytes })
    : importPkcs12({ ...options, pfx: bytes }));
  const outcome = made(record, 'imported');
  const claims =
    record.publisher === undefined
      ? []
      : [`its certificate claims: ${record.publisher.subject.replaceAll('\n', ', ')}`];
  return {
    ...outcome,
    hints: [
      ...claims,
      `${file} stays where it is; remove it if nobody else needs it`,
      ...(outcome.hints ?? []),
    ],
  };
}

async function list({ keyFolder }: Context): Promise<Outcome> {
  const records = await listKeys(keyFolder);
  const rows = records.map(({ name, publicKey, keyId, heldIn, created }) => [
    name,
    publicKey.scheme,
    shortKeyId(keyId),
    new Date(created).toISOString().slice(0, 10),
    heldIn,
  ]);
  return {
    text: rows.length === 0 ? 'no keys' : table(['name', 'scheme', 'key id', 'made', 'held in'], rows),
    json: { keys: records.map(describe) },
    hints: rows.length === 0 ? ['make one: mandate key generate <name>'] : [],
  };
}

async function show({ keyFolder }: Context, name: string): Promise<Outcome> {
  const record = await showKey(keyFolder, name);
  const lines = [
    `name        ${record.name}`,
    `key id      ${record.keyId}`,
    `scheme      ${record.publicKey.scheme}`,
    `thumbprint  ${record.publicKey.thumbprint}`,
    `made        ${new Date(record.created).toISOString()}`,
    `held in     ${record.heldIn}`,
    ...(record.publisher === undefined
      ? []
      : [`certificate claims  ${record.publisher.subject.replaceAll('\n', ', ')}`]),
  ];
  return { text: lines.join('\n'), json: describe(record) };
}

/** The record as `<name>.pub.json` holds it, but where the private half is: that is nobody else's business. */
async function exportKey({ keyFolder }: Context, name: string): Promise<Outcome> {
  const { keyId, publicKey, created } = await showKey(keyFolder, name);
  const record = { keyid: keyId, key: publicKey.wire, created: formatDate(created), heldIn: 'elsewhere' };
  return { text: JSON.stringify(record, undefined, 2), json: record };
}

interface TenantImpact extends KeyImpact {
  readonly tenant: string;
  readonly keyId: string;
}

async function impactOn(context: Context, text: string, trusted: TrustedTenant): Promise<TenantImpact> {
  const base = await context.terminal.progress(`verifying ${trusted.tenant}`, async () =>
    verifiedBase(await openTenant(context, trusted), context.now()),
  );
  const key = await chosenKey(keyringOf(context, []), text, await keysOfTenant(base));
  const found = await context.terminal.progress('looking at every role', () => keyImpact(base, key));
  return { tenant: trusted.tenant, keyId: keyIdOf(key), ...found };
}

async function impact(context: Context, text: string, name: string | undefined): Promise<Outcome> {
  const tenants =
    name === undefined ? (await loadTrust(context)).tenants : [await trustedTenant(context, name)];
  const found: TenantImpact[] = [];
  for (const trusted of tenants) found.push(await impactOn(context, text, trusted));
  return {
    text: found.map(impactText).join('\n\n'),
    json: {
      tenants: found.map(({ tenant, keyId, roles, artifacts }) => ({
        tenant,
        keyId,
        roles: roles.map(({ keySet, ...role }) => ({
          ...role,
          threshold: keySet.threshold,
          keys: keySet.keys.size,
        })),
        artifacts: [...artifacts].map(([path, role]) => ({ path, role })),
      })),
    },
    hints: found
      .filter(({ roles }) => roles.length > 0)
      .map(({ tenant }) => `if it is lost or stolen: mandate revoke key ${text} ${tenant}`),
  };
}

function impactText({ tenant, keyId, roles, artifacts }: TenantImpact): string {
  const head = `key ${shortKeyId(keyId)} in tenant ${tenant}`;
  if (roles.length === 0) return `${head}: no role names it`;
  const rows = roles.map(({ role, delegator, keySet, left, below, restingFiles }) => [
    role,
    delegator,
    `${keySet.threshold} of ${keySet.keys.size}`,
    below ? `BELOW THRESHOLD, ${left} left` : `${left} left`,
    restingFiles === 0
      ? 'stands without it'
      : `rests on it${restingFiles > 1 ? ` (${restingFiles} files)` : ''}`,
  ]);
  const paths = [...artifacts].slice(0, 50).map(([path, role]) => `  ${path}  (role ${role})`);
  return [
    head,
    table(['role', 'delegated by', 'signed by', 'without the key', 'signed now'], rows),
    artifacts.size === 0
      ? 'no artifact rests on its signature alone'
      : `${artifacts.size} entries that fall without its signature:`,
    ...paths,
    ...(artifacts.size > paths.length ? [`  ... and ${artifacts.size - paths.length} more`] : []),
  ].join('\n');
}
