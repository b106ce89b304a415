/**
 * Mutated inputs against every parser: nothing but a MetadataError comes out, in bounded time, and what is read keeps its
 * promises. `MANDATE_FUZZ_SEED` repeats a run, `MANDATE_FUZZ_INPUTS` makes it longer.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  canonicalBytes,
  matchesPattern,
  MetadataError,
  parseDate,
  parseDigest,
  parseEnvelope,
  parseJson,
  parsePublicKey,
  parseRepository,
  parseRoot,
  parseScope,
  parseSnapshot,
  parseTargetPath,
  parseTargets,
  parseTenantSlug,
  parseTimestamp,
  scopeOfRole,
  signingStatus,
  TrustedMetadata,
  wireText,
} from '@mandate/metadata';
import { SimRepository, type SimOptions } from '../support/repository.ts';
import { cpuMs } from './cpu-time.ts';
import { testKey } from './test-key.ts';

const seed = Number.parseInt(process.env['MANDATE_FUZZ_SEED'] ?? randomBytes(4).toString('hex'), 16);
const inputs = Number(process.env['MANDATE_FUZZ_INPUTS'] ?? 100_000);
const maxMsEach = 1_000;

/** Mulberry32: small, seeded, good enough to choose where to break things. */
function randomFrom(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const random = randomFrom(seed);
const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;

const pieces = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\u',
  '\\ud800',
  '\\"',
  '0',
  '-',
  '-0',
  '1e5',
  '1.5',
  '9007199254740992',
  'null',
  'true',
  '"signed":',
  '"signatures":[]',
  '"__proto__":',
  '"constructor":{}',
  '"keyid":"',
  '"version":0',
  '\n',
  '\0',
  '\ufeff',
  'é',
  '\u{1f600}',
  '[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[',
  '"paths":["*"],',
  '"threshold":1,',
  '"hashes":{},',
  '*',
  '?',
  '[!',
  '../',
  '~',
  'never',
].map((text) => Buffer.from(text));

const values: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1,
  1.5,
  2 ** 53,
  '',
  'x',
  '\ud800',
  '__proto__',
  'constructor',
  [],
  {},
  [[]],
  [null],
  { a: 1 },
  'never',
  '2030-01-01T00:00:00Z',
  'ab'.repeat(32),
  '1.0',
  Array.from({ length: 600 }, (_, i) => ({ keyid: String(i), sig: '00' })),
  'a'.repeat(5_000),
  '/'.repeat(4_000),
  '*a'.repeat(1_000),
];

/** One to four changes of bytes, anywhere. */
function mutateBytes(original: Buffer, others: readonly Buffer[]): Buffer {
  let bytes = Buffer.from(original);
  for (let n = 1 + random(4); n > 0; n -= 1) {
    const at = random(bytes.length + 1);
    const until = Math.min(bytes.length, at + random(40));
    switch (random(7)) {
      case 0:
        if (bytes.length > 0) bytes[at % bytes.length] = random(256);
        break;
      case 1:
        if (bytes.length > 0) bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << random(8));
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), pick(pieces), bytes.subarray(at)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(until)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, until), bytes.subarray(at)]);
        break;
      case 5:
        bytes = bytes.subarray(0, at);
        break;
      default: {
        const other = pick(others);
        const from = random(other.length);
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          other.subarray(from, from + random(200)),
          bytes.subarray(at),
        ]);
      }
    }
  }
  return bytes;
}

/** Changes one member somewhere inside: another value, none, another name, one more. */
function mutateJson(original: Buffer): Buffer {
  const whole = JSON.parse(original.toString()) as unknown;
  let at = whole as Record<string, unknown>;
  for (;;) {
    const names = Object.keys(at);
    const name = pick(names.length === 0 ? ['x'] : names);
    const inner = at[name];
    if (typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0 && random(5) > 0) {
      at = inner as Record<string, unknown>;
      continue;
    }
    const action = random(4);
    if (action === 0) delete at[name];
    else if (action === 1)
      at[pick(['x', '__proto__ ', 'constructor', 'signed', 'delegations', 'custom'])] = pick(values);
    else at[name] = pick(values);
    return Buffer.from(JSON.stringify(whole));
  }
}

/** The same bytes in every run: a seed repeats it. */
function fixedRepository(options: SimOptions): SimRepository {
  const keysOf = (role: string) => [testKey(role)];
  const topKeys = Object.fromEntries(
    ['timestamp', 'snapshot', 'targets'].map((role) => [role, keysOf(role)]),
  );
  return new SimRepository({ rootKeys: keysOf('root'), topKeys, ...options });
}

function samples(tenant: SimRepository): Buffer[] {
  for (const role of ['distrust', 'reserved', 'repo~team~app', 'org']) {
    tenant.delegate('targets', role, { keys: [testKey(role)] });
  }
  tenant.addTarget('repo~team~app', 'team/app/v1', 'image one', { é: ['"\n\\'] });
  tenant.split('org', 1);
  tenant.publish();
  const plain = fixedRepository({ profile: false, consistent: false });
  plain.delegate('targets', 'a', { keys: [testKey('a')], hashPrefixes: ['0', 'ab'] });
  const keys = [testKey('b'), testKey('c')];
  plain.delegate('targets', 'b', { keys, paths: ['a?[b-c]/*', '**'], threshold: 2 });
  plain.publish();
  return [...tenant.files.values(), ...plain.files.values()].map((bytes) => Buffer.from(bytes));
}

/** Bytes in use once everything that can be freed is. */
function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

describe('metadata: under mutated inputs', () => {
  it(`${inputs} of them, seed ${(seed >>> 0).toString(16)}: only MetadataError, in bounded time and memory`, function () {
    this.timeout(600_000);
    const sim = fixedRepository({});
    const originals = samples(sim);
    const trusted = TrustedMetadata.fromTrustedRoot(sim.rootBytes);
    const files = [parseRoot, parseTimestamp, parseSnapshot];
    const texts: readonly ((text: string) => unknown)[] = [
      parseDate,
      parseDigest,
      parseRepository,
      parseScope,
      scopeOfRole,
      parseTargetPath,
      parseTenantSlug,
      (text) => matchesPattern(text, 'a/b/c'),
    ];
    const counts = { read: 0, refused: 0 };
    let slowest = 0;
    const attempt = (action: () => unknown, input: Buffer): unknown => {
      try {
        const value = action();
        counts.read += 1;
        return value;
      } catch (error) {
        counts.refused += 1;
        if (error instanceof MetadataError) return undefined;
        throw new assert.AssertionError({
          message: `${String(error)} on ${input.toString('base64').slice(0, 4_000)}`,
          actual: error,
        });
      }
    };
    const one = (): void => {
      const original = pick(originals);
      const input = random(3) === 0 ? mutateJson(original) : mutateBytes(original, originals);
      for (const parse of files) attempt(() => parse(input), input);
      const text = input.toString('latin1').slice(random(50));
      const parsed = attempt(() => parseJson(text), input) as ReturnType<typeof parseJson> | undefined;
      if (parsed !== undefined) {
        assert.deepEqual(parseJson(wireText(parsed.value)).value, parsed.value);
        if (parsed.wire) assert.equal(Buffer.from(canonicalBytes(parsed.value)).toString(), text);
        attempt(() => parsePublicKey(parsed.value), input);
      }
      for (const parse of texts) attempt(() => parse(text.slice(0, 60)), input);
      const envelope = attempt(() => parseEnvelope(input, 5_000_000), input) as
        | ReturnType<typeof parseEnvelope>
        | undefined;
      if (envelope !== undefined) {
        assert.deepEqual(Buffer.from(envelope.signedBytes), canonicalBytes(envelope.signed));
        const original = envelope.signedBytes;
        const { met } = signingStatus(envelope, trusted.root.file.roles.targets);
        assert.ok(!met || originals.some((known) => known.includes(Buffer.from(original))));
      }
      const file = attempt(() => parseTargets(input), input) as ReturnType<typeof parseTargets> | undefined;
      for (const path of ['a/b', 'team/app/v1', '', 'constructor'])
        attempt(() => file?.delegations?.matching(path), input);
      attempt(() => trusted.fork().updateRoot(input), input);
      attempt(() => trusted.fork().updateTimestamp(input, sim.now), input);
    };
    const timed = (): void => {
      slowest = Math.max(slowest, cpuMs(one));
    };
    for (let i = 0; i < 2_000; i += 1) timed();
    const heap = heapUsed();
    for (let i = 2_000; i < inputs; i += 1) timed();
    const grown = heapUsed() - heap;
    assert.ok(counts.read > inputs / 50 && counts.refused > inputs, JSON.stringify(counts));
    assert.ok(slowest < maxMsEach, `${slowest} ms for one input`);
    assert.ok(grown < 20_000_000, `${grown} bytes`);
  });
});
