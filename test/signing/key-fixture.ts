/** What the signing tests share: fresh folders, keys, and errors by code. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SigningError, type SigningErrorCode } from '@mandate/signing';

export const now = Date.UTC(2026, 0, 2, 3, 4, 5);
export const passphrase = 'correct horse battery staple';

/** A folder for one test, gone afterwards. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mandate-signing-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function rejectsWith(code: SigningErrorCode, work: Promise<unknown>): Promise<SigningError> {
  let found: SigningError | undefined;
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof SigningError, String(error));
    assert.equal(error.code, code);
    found = error;
    return true;
  });
  assert.ok(found);
  return found;
}

export function throwsWith(code: SigningErrorCode, work: () => unknown): void {
  assert.throws(work, (error) => error instanceof SigningError && error.code === code);
}

/** One private key of each kind that can sign. */
export const privateKeys: ReadonlyMap<string, KeyObject> = new Map([
  ['ed25519', generateKeyPairSync('ed25519').privateKey],
  ['ecdsa-p256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ['ecdsa-p384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
]);

export function privateKey(kind: string): KeyObject {
  const key = privateKeys.get(kind);
  assert.ok(key);
  return key;
}

const run = promisify(execFile);

/** Runs the openssl program; its standard output. */
export async function openssl(...args: readonly string[]): Promise<string> {
  return (await run('openssl', args)).stdout;
}
