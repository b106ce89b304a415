/**
 * Writes the vectors anew: `npx node --conditions=mandate-source test/vectors/generate.ts`. Keys come from fixed seeds and
 * every clock is fixed, so that nothing changes but what was meant to.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { canonicalForms, keys, refusedJson, refusedKeys } from './forms.ts';
import { invalid, valid } from './scenarios.ts';

/** Folder and file name to content. */
export function allVectors(): Map<string, unknown> {
  return new Map<string, unknown>([
    ...[...valid()].map(([name, vector]) => [`valid/${name}.json`, vector] as const),
    ...[...invalid()].map(([name, vector]) => [`invalid/${name}.json`, vector] as const),
    ['valid/forms-canonical.json', canonicalForms],
    ['valid/forms-key.json', keys()],
    ['invalid/forms-json.json', refusedJson],
    ['invalid/forms-key.json', refusedKeys()],
  ]);
}

export function vectorText(vector: unknown): string {
  return `${JSON.stringify(vector, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const folder of ['valid/', 'invalid/']) {
    const url = new URL(folder, import.meta.url);
    mkdirSync(url, { recursive: true });
    for (const name of readdirSync(url)) rmSync(new URL(name, url));
  }
  for (const [name, vector] of allVectors()) writeFileSync(new URL(name, import.meta.url), vectorText(vector));
}
