/** Where a passphrase comes from. A source is asked only when one is needed; no passphrase is ever an argument of a command. */
import { readFile } from 'node:fs/promises';
import { SigningError } from './error.ts';

export interface PassphraseRequest {
  /** `open` a stored key, `create` one (a prompt asks twice), read a file that is being imported, or log in to a token with its `pin`. */
  readonly purpose: 'open' | 'create' | 'import' | 'pin';
  /** What the passphrase belongs to, for the prompt: a key's name, a file's path or a token's label. */
  readonly subject: string;
}

/** @throws SigningError `PASSPHRASE_NEEDED` when it has none to give */
export type PassphraseSource = (request: PassphraseRequest) => Promise<string>;

/** Asks a person; `undefined` when nobody can be asked. */
export type PassphrasePrompt = (request: PassphraseRequest) => Promise<string | undefined>;

/** Longer ones are refused by OpenSSL, and then by everything that reads our files. */
const maxPassphraseBytes = 1024;
const variables = {
  open: 'MANDATE_PASSPHRASE',
  create: 'MANDATE_PASSPHRASE',
  import: 'MANDATE_IMPORT_PASSPHRASE',
  pin: 'MANDATE_PIN',
} satisfies Record<PassphraseRequest['purpose'], string>;

/**
 * The usual source: the environment first, so that unattended runs never prompt, then the prompt if one is given.
 *
 * Stored keys: `MANDATE_PASSPHRASE`, else the file that `MANDATE_PASSPHRASE_FILE` names (one line end at its end is dropped).
 * Files being imported: the same with `MANDATE_IMPORT_PASSPHRASE`; tokens: with `MANDATE_PIN`, so that no passphrase of a file ever uses
 * up a token's tries. An empty variable counts as absent.
 */
export function passphraseFrom(
  env: Readonly<Record<string, string | undefined>>,
  prompt?: PassphrasePrompt,
): PassphraseSource {
  return async (request) => {
    const variable = variables[request.purpose];
    const passphrase =
      env[variable] || (await fromFile(env[`${variable}_FILE`], variable)) || (await prompt?.(request));
    if (!passphrase) {
      throw new SigningError(
        'PASSPHRASE_NEEDED',
        `${request.subject} needs a ${request.purpose === 'pin' ? 'PIN' : 'passphrase'} and there is nobody to ask; set ${variable} or ${variable}_FILE`,
      );
    }
    return requirePassphrase(passphrase);
  };
}

/** A source that always gives this one. */
export function fixedPassphrase(passphrase: string): PassphraseSource {
  return async () => requirePassphrase(passphrase);
}

function requirePassphrase(passphrase: string): string {
  if (passphrase === '') throw new SigningError('PASSPHRASE_NEEDED', 'the passphrase is empty');
  if (Buffer.byteLength(passphrase) > maxPassphraseBytes) {
    throw new SigningError('MALFORMED', `a passphrase has at most ${maxPassphraseBytes} bytes`);
  }
  return passphrase;
}

async function fromFile(path: string | undefined, variable: string): Promise<string | undefined> {
  if (!path) return undefined;
  try {
    return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new SigningError('PASSPHRASE_NEEDED', `cannot read ${path}, which ${variable}_FILE names`, {
      cause,
    });
  }
}
