import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import {
  generateSealingKey,
  parseSealingKey,
  parseSealingKeys,
  sealingKeyIdOf,
  sealKey,
  SigningError,
  unsealKey,
} from '@mandate/signing';
import { privateKey, privateKeys, throwsWith } from './key-fixture.ts';

describe('signing: sealed keys', () => {
  const keys = parseSealingKeys(generateSealingKey());
  const context = { tenant: 'acme', role: 'timestamp' };

  for (const [kind, key] of privateKeys) {
    it(`${kind}: opens to the same key`, () => {
      const sealed = sealKey(key, keys.current, context);
      assert.ok(unsealKey(sealed, keys, context).equals(key));
      assert.equal(sealingKeyIdOf(sealed), keys.current.id);
    });
  }

  it('never seals twice alike', () => {
    const key = privateKey('ed25519');
    assert.notDeepEqual(sealKey(key, keys.current, context), sealKey(key, keys.current, context));
  });

  it('opens only for its own tenant and role', () => {
    const other = fc.record({ tenant: fc.string(), role: fc.string() });
    fc.assert(
      fc.property(other, other, (a, b) => {
        const sealed = sealKey(privateKey('ed25519'), keys.current, a);
        if (a.tenant === b.tenant && a.role === b.role) return;
        throwsWith('SEAL_BROKEN', () => unsealKey(sealed, keys, b));
      }),
    );
    const sealed = sealKey(privateKey('ed25519'), keys.current, { tenant: 'ab', role: 'c' });
    throwsWith('SEAL_BROKEN', () => unsealKey(sealed, keys, { tenant: 'a', role: 'bc' }));
  });

  it('refuses every flipped bit, by the code of the part it is in', () => {
    const sealed = sealKey(privateKey('ed25519'), keys.current, context);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = Uint8Array.from(sealed);
      const at = bit >> 3;
      changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 7));
      const code = at < 4 ? 'MALFORMED' : at < 12 ? 'SEALING_KEY_UNKNOWN' : 'SEAL_BROKEN';
      throwsWith(code, () => unsealKey(changed, keys, context));
    }
  });

  it('refuses everything cut, extended or made up', () => {
    const sealed = sealKey(privateKey('ecdsa-p256'), keys.current, context);
    for (let length = 0; length < sealed.length; length++) {
      throwsWith(length <= 40 ? 'MALFORMED' : 'SEAL_BROKEN', () =>
        unsealKey(sealed.subarray(0, length), keys, context),
      );
    }
    throwsWith('SEAL_BROKEN', () => unsealKey(Buffer.concat([sealed, Buffer.alloc(1)]), keys, context));
    throwsWith('MALFORMED', () => unsealKey(Buffer.concat([sealed, Buffer.alloc(20_000)]), keys, context));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => unsealKey(bytes, keys, context), SigningError);
      }),
    );
  });

  it('rotates: an older sealing key still opens, a dropped one does not', () => {
    const [oldText, newText] = [generateSealingKey(), generateSealingKey()];
    const before = parseSealingKeys(oldText);
    const sealed = sealKey(privateKey('ed25519'), before.current, context);

    const during = parseSealingKeys(`${newText}, ${oldText}\n`);
    assert.notEqual(sealingKeyIdOf(sealed), during.current.id);
    const key = unsealKey(sealed, during, context);
    const resealed = sealKey(key, during.current, context);

    const after = parseSealingKeys(newText);
    throwsWith('SEALING_KEY_UNKNOWN', () => unsealKey(sealed, after, context));
    assert.ok(unsealKey(resealed, after, context).equals(key));
  });

  it('parses a sealing key from its one spelling', () => {
    const text = generateSealingKey();
    assert.equal(parseSealingKey(text).id, parseSealingKey(text).id);
    assert.match(parseSealingKey(text).id, /^[0-9a-f]{16}$/);
    for (const bad of ['', 'x', text.slice(1), `${text}=`, `${text}A`, ` ${text}`, '!'.repeat(43)]) {
      throwsWith('MALFORMED', () => parseSealingKey(bad));
    }
    throwsWith('MALFORMED', () => parseSealingKeys(' \n, '));
  });
});
