/** The signer program for tests, with a folder that says how it behaves. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ServerConfig } from '@mandate/server';

type Switch = 'gate' | 'slow' | 'down' | 'swap';

const script = fileURLToPath(new URL('signer.mjs', import.meta.url));

export class SignerProgram {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'mandate-signer-'));

  /** What `MANDATE_ONLINE_KEYS` says to use it. */
  get place(): ServerConfig['keyPlaces'][0] {
    const args = [script, this.folder].map((word) => `arg=${encodeURIComponent(word)}`).join('&');
    return `exec:${process.execPath}?${args}&arg={tenant}&arg={role}&arg={version}` as ServerConfig['keyPlaces'][0];
  }

  set(name: Switch, content = ''): void {
    writeFileSync(join(this.folder, name), content);
  }

  unset(name: Switch): void {
    rmSync(join(this.folder, name), { force: true });
  }

  /** What it was asked so far, such as `sign acme-timestamp-1`. */
  get asked(): string[] {
    const file = join(this.folder, 'asked');
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  }

  /** Resolves when it was asked to sign with a key of this name more often than before. */
  async askedFor(name: string, before: readonly string[]): Promise<void> {
    const times = (asked: readonly string[]): number =>
      asked.filter((line) => line === `sign ${name}`).length;
    while (times(this.asked) <= times(before)) await sleep(5);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
