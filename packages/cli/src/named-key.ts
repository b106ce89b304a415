/**
 * What the person at this machine calls keys of other people: `names.json` in the configuration folder. A hint for the
 * eye, shown as such beside the key id. Nothing signed says it, no check looks at it, and it never leaves the machine.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isObject, keyIdOf, member, parseJson, parsePublicKey, type PublicKey } from '@mandate/metadata';
import { parseKeyName, type KeyName } from '@mandate/signing';
import { changeConfigFile } from './config-file.ts';
import type { Context } from './context.ts';
import { CliError } from './error.ts';

const fileName = 'names.json';

export interface NamedKey {
  readonly name: KeyName;
  readonly publicKey: PublicKey;
}

function parseNames(text: string): NamedKey[] {
  const { value } = parseJson(text);
  const keys = isObject(value) ? member(value, 'keys') : undefined;
  if (!Array.isArray(keys)) throw new TypeError('no list of keys');
  return keys.map((entry) => {
    const name = isObject(entry) ? member(entry, 'name') : undefined;
    if (!isObject(entry) || typeof name !== 'string') throw new TypeError('a key without a name');
    return { name: parseKeyName(name), publicKey: parsePublicKey(member(entry, 'key')) };
  });
}

function encodeNames(named: readonly NamedKey[]): string {
  const keys = named.map(({ name, publicKey }) => ({
    name,
    keyid: keyIdOf(publicKey),
    key: publicKey.wire,
  }));
  return `${JSON.stringify({ keys }, undefined, 2)}\n`;
}

/** @throws CliError CONFIGURATION */
export async function loadNamedKeys({ configFolder }: Context): Promise<readonly NamedKey[]> {
  const path = join(configFolder, fileName);
  try {
    return parseNames(await readFile(path, 'utf8'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CliError('CONFIGURATION', `${path} cannot be read or is damaged`, {
      cause,
      next: 'correct it, or remove it and name the keys again',
    });
  }
}

async function change(
  context: Context,
  next: (named: readonly NamedKey[]) => readonly NamedKey[],
): Promise<void> {
  await changeConfigFile(context, fileName, async () => encodeNames(next(await loadNamedKeys(context))));
}

/** A key that had a name gets this one instead. @throws CliError EXISTS where another key is called so */
export async function nameKey(context: Context, named: NamedKey): Promise<void> {
  const { thumbprint } = named.publicKey;
  await change(context, (before) => {
    const others = before.filter(({ publicKey }) => publicKey.thumbprint !== thumbprint);
    if (others.some(({ name }) => name === named.name)) throw taken(named.name);
    return [...others, named].sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}

/** @throws CliError NOT_FOUND */
export async function forgetName(context: Context, name: string): Promise<void> {
  await change(context, (before) => {
    const after = before.filter((one) => one.name !== name);
    if (after.length < before.length) return after;
    throw new CliError('NOT_FOUND', `no key of somebody else is called ${name} here`, {
      next: 'mandate key list',
    });
  });
}

/** A name means one key on this machine. @throws CliError EXISTS */
export async function requireFreeName(context: Context, name: string): Promise<void> {
  if ((await loadNamedKeys(context)).some((one) => one.name === name)) throw taken(name);
}

function taken(name: string): CliError {
  return new CliError('EXISTS', `another key is called ${name} here`, {
    next: `choose another name, or let go of it: mandate key unname ${name}`,
  });
}
