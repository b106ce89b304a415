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
import { formatDate, keyIdOf } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import { shortKeyId } from '../key-id.ts';
import { loadNamedKeys, requireFreeName } from '../named-key.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { isPublicFile } from '../public-key.ts';
import { table } from '../table.ts';
import { impact } from './key-impact.ts';
import { inventory } from './key-inventory.ts';
import { nameCommand, unname } from './key-name.ts';

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
    .option('--public', "the source is <file>.pub.json of somebody else's key: as key name")
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
  key
    .command('inventory')
    .description('Every key that a tenant names: where it is held, what it may sign, with how many others')
    .argument('[tenant]', 'the tenant (default: every one that is trusted)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate key inventory acme\n')
    .action(action(inventory));
  key
    .command('name')
    .description("Call somebody else's key by a name, on this machine only; nothing signed says it")
    .argument('<key>', '<file>.pub.json, or the first digits of the id of a key that a trusted tenant names')
    .argument('<name>', 'what you will call it')
    .option('--tenant <tenant>', 'look for the id in this tenant alone')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate key name bob.pub.json bob\n  $ mandate key name 3f0c91ab22de carol\n',
    )
    .action(action(nameCommand));
  key
    .command('unname')
    .description("Forget what somebody else's key is called here")
    .argument('<name>', 'the name')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate key unname bob\n')
    .action(action(unname));
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
  await requireFreeName(context, name);
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

async function importKey(
  context: Context,
  name: string,
  file: string,
  { public: isPublic }: { public?: boolean },
): Promise<Outcome> {
  const { keyFolder, now } = context;
  if (isPublic === true) {
    if (isPublicFile(file)) return nameCommand(context, file, name, {});
    throw usage(`${file} is no public record`, 'mandate key export prints one, for <file>.pub.json');
  }
  if (isPublicFile(file))
    throw usage(`${file} is a public key: nothing can be signed with it`, 'to call it by a name: --public');
  await requireFreeName(context, name);
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

async function list(context: Context): Promise<Outcome> {
  const records = await listKeys(context.keyFolder);
  const named = await loadNamedKeys(context);
  const rows = [
    ...records.map(({ name, publicKey, keyId, heldIn, created }) => [
      name,
      publicKey.scheme,
      shortKeyId(keyId),
      new Date(created).toISOString().slice(0, 10),
      heldIn,
    ]),
    ...named.map(({ name, publicKey }) => [
      name,
      publicKey.scheme,
      shortKeyId(keyIdOf(publicKey)),
      '-',
      "elsewhere: somebody else's, as named here",
    ]),
  ];
  return {
    text: rows.length === 0 ? 'no keys' : table(['name', 'scheme', 'key id', 'made', 'held in'], rows),
    json: {
      keys: records.map(describe),
      named: named.map(({ name, publicKey }) => ({
        name,
        keyId: keyIdOf(publicKey),
        scheme: publicKey.scheme,
        thumbprint: publicKey.thumbprint,
        key: publicKey.wire,
      })),
    },
    hints: records.length === 0 ? ['make one: mandate key generate <name>'] : [],
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
