/** Replays test/vectors from the files alone, as another implementation would. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import {
  canonicalBytes,
  keyIdOf,
  MetadataError,
  parseDate,
  parseJson,
  parsePublicKey,
  TrustedMetadata,
} from '@mandate/metadata';
import type { CanonicalVector, KeyVector, RefusedVector } from '../vectors/forms.ts';
import { allVectors, vectorText } from '../vectors/generate.ts';
import type { Expectation, Scenario, VectorFile } from '../vectors/scenarios.ts';
import { refuses } from './refusal.ts';
import { find } from './walker.ts';

const folder = new URL('../vectors/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as unknown;
const names = (kind: 'valid' | 'invalid') =>
  readdirSync(new URL(`${kind}/`, folder)).map((name) => `${kind}/${name}`);

function bytesOf({ text, base64 }: VectorFile): Buffer {
  return text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);
}

function take(
  trusted: TrustedMetadata,
  { file }: VectorFile,
  bytes: Buffer,
  files: Map<string, Uint8Array>,
  now: number,
): void {
  if (file === 'timestamp.json') trusted.updateTimestamp(bytes, now);
  else if (/^[0-9]+\.snapshot\.json$/.test(file)) {
    if (!trusted.adoptStoredSnapshot(now)) trusted.updateSnapshot(bytes, now);
  } else if (/^[0-9]+\.root\.json$/.test(file)) trusted.updateRoot(bytes);
  else files.set(file, bytes);
}

function replay(scenario: Scenario): Expectation {
  const now = parseDate(scenario.now);
  const files = new Map<string, Uint8Array>();
  let step: number | undefined = 0;
  try {
    const trusted = TrustedMetadata.fromTrustedRoot(bytesOf(scenario.trustedRoot));
    for (const one of scenario.steps) {
      take(trusted, one, bytesOf(one), files, now);
      step += 1;
    }
    step = undefined;
    if (scenario.target === undefined) return { code: 'VERIFIED' };
    const answer = find(trusted, files, scenario.target, now);
    if ('absent' in answer) return { code: 'NOT_SIGNED' };
    const { found, steps } = answer;
    return {
      code: 'VERIFIED',
      length: found.length,
      sha256: found.hashes.sha256 ?? '',
      roles: steps.map(({ role }) => role),
    };
  } catch (error) {
    if (!(error instanceof MetadataError)) throw error;
    return { code: error.code, reason: error.reason, ...(step === undefined ? {} : { step }) };
  }
}

describe('metadata: vectors', () => {
  it('are what the generator writes', () => {
    const generated = allVectors();
    assert.deepEqual([...names('valid'), ...names('invalid')].sort(), [...generated.keys()].sort());
    for (const [name, vector] of generated)
      assert.equal(readFileSync(new URL(name, folder), 'utf8'), vectorText(vector), name);
  });

  for (const kind of ['valid', 'invalid'] as const) {
    for (const name of names(kind).filter((file) => !file.includes('/forms-'))) {
      const scenario = read(name) as Scenario;
      it(`${name}: ${scenario.description}`, () => {
        assert.deepEqual(replay(scenario), scenario.expect);
        assert.equal(['VERIFIED', 'NOT_SIGNED'].includes(scenario.expect.code), kind === 'valid');
      });
    }
  }

  for (const { description, json, base64 } of read('valid/forms-canonical.json') as CanonicalVector[]) {
    it(`canonical form: ${description}`, () => {
      assert.equal(Buffer.from(canonicalBytes(parseJson(json).value)).toString('base64'), base64);
    });
  }

  for (const { description, keys, thumbprint } of read('valid/forms-key.json') as KeyVector[]) {
    it(`key: ${description}`, () => {
      for (const { key, keyId } of keys) {
        assert.equal(parsePublicKey(key).thumbprint, thumbprint);
        assert.equal(keyIdOf(parsePublicKey(key)), keyId);
      }
    });
  }

  for (const name of ['invalid/forms-json.json', 'invalid/forms-key.json']) {
    for (const { description, json, key, expect } of read(name) as RefusedVector[]) {
      it(`refused: ${description}`, () => {
        const refusal = `${expect.code}/${expect.reason}` as 'MALFORMED/JSON';
        refuses(refusal, () => (json === undefined ? parsePublicKey(key) : parseJson(json)));
      });
    }
  }
});
