/** The issuers of a configuration file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configFrom, type ServerConfig } from '@mandate/server';

/** @param others files beside it, by name */
export function issuersOf(
  file: unknown,
  others: Readonly<Record<string, string>> = {},
): ServerConfig['issuers'] {
  const folder = mkdtempSync(join(tmpdir(), 'mandate-issuers-'));
  try {
    for (const [name, text] of Object.entries(others)) writeFileSync(join(folder, name), text);
    const path = join(folder, 'issuers.json');
    writeFileSync(path, JSON.stringify(file));
    return configFrom({ MANDATE_ISSUERS_FILE: path }).issuers;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
