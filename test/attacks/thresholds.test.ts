import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  encodeEnvelope,
  parsePublicKey,
  publicKeyFromKeyObject,
  type JsonObject,
  type JsonValue,
} from '@mandate/metadata';
import {
  newKey,
  newKeys,
  newTenant,
  signatureOf,
  signedFile,
  SimRepository,
  type SimKey,
} from '../support/repository.ts';
import { accepts, refuses } from './ask.ts';

type Content = Record<string, JsonValue>;

/** The same key under another id, written another way. */
function written(key: SimKey, keyId: string, wire: JsonObject): SimKey {
  return { publicKey: parsePublicKey(wire), privateKey: key.privateKey, keyId };
}

function keyOf(privateKey: KeyObject, keyId: string): SimKey {
  return { publicKey: publicKeyFromKeyObject(privateKey), privateKey, keyId };
}

const pemOf = (key: KeyObject): string =>
  createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString();

/** A tenant whose one repository role wants `threshold` of these keys and is signed by `signers`. */
function guarded(
  keys: readonly SimKey[],
  threshold: number,
  signers: readonly SimKey[] = keys,
): SimRepository {
  const sim = new SimRepository();
  sim.delegate('targets', 'repo~team~app', { keys, threshold });
  sim.signers.set('repo~team~app', signers);
  sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
  sim.publish();
  return sim;
}

/** A root 2 whose `root` role wants `threshold` of these keys, signed by them and by the first root's. */
function rooted(keys: readonly SimKey[], threshold: number): SimRepository {
  const sim = newTenant();
  sim.rotate('root', keys, threshold);
  sim.publish();
  return sim;
}

describe('attacks: thresholds and keys', () => {
  it('threshold 0, negative or fractional', async () => {
    for (const threshold of [0, -1, 1.5, 0.5, '1', null]) {
      const root = newTenant();
      root.beforeSign = (role, signed) => {
        const roles = signed['roles'] as Record<string, Content> | undefined;
        if (role === 'root' && roles !== undefined) roles['targets'] = { ...roles['targets'], threshold };
      };
      root.rotate('root');
      await refuses(root, 'MALFORMED', threshold === 1.5 || threshold === 0.5 ? 'JSON' : 'SHAPE');
    }
    for (const threshold of [0, -1, '1', null]) {
      const sim = newTenant();
      sim.update('targets', (signed) => {
        for (const role of (signed['delegations'] as { roles: Content[] }).roles)
          role['threshold'] = threshold;
      });
      sim.publish();
      await refuses(sim, 'MALFORMED', 'SHAPE');
    }
  });

  it('one signature repeated to reach a threshold', async () => {
    const keys = newKeys(2) as [SimKey, SimKey];
    const [one] = keys;
    const sim = guarded(keys, 2);
    await accepts(sim);
    const signed = sim.signed('repo~team~app');
    const signature = signatureOf(signed, one);
    sim.writeRole('repo~team~app', encodeEnvelope(signed, [signature, signature]));
    sim.publish();
    await refuses(sim, 'MALFORMED', 'SHAPE');
    sim.writeRole('repo~team~app', signedFile(signed, [one]));
    sim.publish();
    await refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES');

    const root = newTenant();
    root.rotate('root', keys, 2);
    await accepts(root);
    const content = root.signed('root');
    const before = root.signers.get('root') as readonly SimKey[];
    const repeated = [...before, ...before].map((key) => signatureOf(content, key));
    root.files.set('2.root.json', encodeEnvelope(content, repeated));
    await refuses(root, 'MALFORMED', 'SHAPE');
  });

  it('one key under two key ids; PEM re-encoded; compressed and uncompressed EC point', async () => {
    const plain = newKey();
    const { keytype, scheme } = { keytype: 'ed25519', scheme: 'ed25519' };
    const pem = pemOf(plain.privateKey);
    const spellings = [
      written(plain, 'second', plain.publicKey.wire),
      written(plain, 'pem', { keytype, scheme, keyval: { public: pem } }),
      written(plain, 'wrapped', {
        keytype,
        scheme,
        keyval: { public: pem.replace('\n', '\n\n') },
        note: 'x',
      }),
    ].map((other) => [plain, other]);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const ec = keyOf(privateKey, 'ec');
    const { x = '', y = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
    const hex = (text: string) => Buffer.from(text, 'base64url').toString('hex');
    const parity = (Buffer.from(y, 'base64url').at(-1) ?? 0) % 2 === 0 ? '02' : '03';
    const ecWire = (text: string) => ({
      keytype: 'ecdsa',
      scheme: 'ecdsa-sha2-nistp256',
      keyval: { public: text },
    });
    const full = written(ec, 'full', ecWire(`04${hex(x)}${hex(y)}`));
    const short = written(ec, 'short', ecWire(`${parity}${hex(x)}`));
    for (const keys of [...spellings, [ec, full], [ec, short], [full, short]]) {
      await accepts(guarded(keys, 1));
      await refuses(guarded(keys, 2), 'THRESHOLD_NOT_MET', 'SIGNATURES');
      await accepts(rooted(keys, 1));
      await refuses(rooted(keys, 2), 'THRESHOLD_NOT_MET', 'SIGNATURES');
    }
  });

  it('thousands of junk signatures', async () => {
    const sim = guarded([newKey('good')], 1);
    const signed = sim.signed('repo~team~app');
    const good = signatureOf(signed, (sim.signers.get('repo~team~app') as readonly [SimKey])[0]);
    const junk = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ keyId: `junk ${i}` as never, sig: Buffer.alloc(64, i) }));
    sim.writeRole('repo~team~app', encodeEnvelope(signed, [...junk(500), good]));
    sim.publish();
    await accepts(sim);
    sim.writeRole('repo~team~app', encodeEnvelope(signed, [good, ...junk(5_000)]));
    sim.publish();
    await refuses(sim, 'LIMIT_EXCEEDED', 'COUNT');
  });

  it("delegation re-declares another role's key", async () => {
    const victim = newKey('shared-id');
    const attacker = newKey('shared-id');
    const sim = new SimRepository();
    sim.delegate('targets', 'repo~team~app', { keys: [victim] });
    sim.delegate('targets', 'org~other', { keys: newKeys(1) });
    sim.delegate('org~other', 'repo~other~tool', { keys: [attacker] });
    sim.addTarget('repo~team~app', 'team/app/v1', 'image one');
    sim.addTarget('repo~other~tool', 'other/tool/v1', 'tool');
    sim.publish();
    await accepts(sim, { repository: 'other/tool' });
    await accepts(sim);
    sim.signers.set('repo~team~app', [attacker]);
    sim.addTarget('repo~team~app', 'team/app/v1', 'forged');
    sim.publish();
    await refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES');
  });

  it('keys of the wrong curve, type or scheme; weak RSA; P-384 with SHA-256', async () => {
    const p384 = pemOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey);
    const p256 = pemOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    const k256 = pemOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey);
    const ed = pemOf(generateKeyPairSync('ed25519').privateKey);
    const rsa = (bits: number, exponent = 65_537) =>
      pemOf(generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: exponent }).privateKey);
    const bad: readonly (readonly [string, string, string])[] = [
      ['ecdsa', 'ecdsa-sha2-nistp256', p384],
      ['ecdsa', 'ecdsa-sha2-nistp384', p256],
      ['ecdsa', 'ecdsa-sha2-nistp256', k256],
      ['ecdsa', 'ecdsa-sha2-nistp256', ed],
      ['ecdsa', 'ed25519', p256],
      ['ed25519', 'ed25519', p256],
      ['ed25519', 'ed25519', '00'.repeat(31)],
      ['ed25519', 'ed25519', 'zz'.repeat(32)],
      ['ed25519', 'ed25519', `ed${'ff'.repeat(30)}7f`],
      ['rsa', 'rsassa-pss-sha256', rsa(1024)],
      ['rsa', 'rsassa-pss-sha256', rsa(2048, 3)],
      ['rsa', 'rsassa-pss-sha256', p256],
      ['rsa', 'rsa-pkcs1v15-sha256', rsa(2048)],
      ['rsa', 'none', rsa(2048)],
      ['ecdsa', 'ecdsa-sha2-nistp256', `02${'ff'.repeat(32)}`],
      ['ecdsa', 'ecdsa-sha2-nistp256', `04${'00'.repeat(64)}`],
    ];
    for (const [keytype, scheme, text] of bad) {
      const sim = newTenant();
      sim.update('targets', (signed) => {
        const { keys } = signed['delegations'] as { keys: Content };
        keys['bad'] = { keytype, scheme, keyval: { public: text } };
      });
      sim.publish();
      await refuses(sim, 'MALFORMED', 'KEY');
    }
  });

  it("a root not signed by its predecessor's threshold and its own", async () => {
    const keys = newKeys(3);
    for (const [signers, met] of [
      [[0, 1], true],
      [[0], false],
      [[], false],
    ] as const) {
      const sim = newTenant({ rootKeys: keys, rootThreshold: 2 });
      const next = newKeys(2);
      sim.rotate('root', next, 2);
      sim.writeRoot([...signers.map((i) => keys[i] as SimKey), ...next]);
      await (met ? accepts(sim) : refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES'));
      sim.writeRoot([...keys, ...next.slice(0, 1)]);
      await refuses(sim, 'THRESHOLD_NOT_MET', 'SIGNATURES');
    }
  });
});
