import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { MetadataError, parseRoot, signingStatus, TrustedMetadata } from '@mandate/metadata';
import { needs, sharedFile } from '../support/needs.ts';

const now = Date.parse('2026-08-22T00:00:00Z');
const read = (path: string) => readFileSync(sharedFile(`sigstore-root-chain/${path}`));
const rootBytes = (version: number) => read(`roots/${version}.root.json`);

describe('metadata: the Sigstore root chain', () => {
  before(function () {
    needs(this, 'shared-data');
  });

  for (let from = 1; from <= 15; from += 1) {
    it(`is followed from version ${from} to 15`, () => {
      const trusted = TrustedMetadata.fromTrustedRoot(rootBytes(from));
      for (let version = from + 1; version <= 15; version += 1) trusted.updateRoot(rootBytes(version));
      assert.equal(trusted.root.file.version, 15);
      assert.equal(trusted.root.status.met, true);
      trusted.requireFreshRoot(now);
    });
  }

  it('counts 0, 2, 3, 4 and 5 signatures of the ceremony for version 15', () => {
    const keys = parseRoot(rootBytes(14)).roles.root;
    const counts = ['0-of-3', '2-of-3', '3-signed', '4-signed', '5-signed'].map((name) => {
      const { distinct, met, missing } = signingStatus(
        parseRoot(read(`ceremony/15.root.${name}.json`)).envelope,
        keys,
      );
      return [distinct, met, missing.length];
    });
    assert.deepEqual(counts, [
      [0, false, 5],
      [2, false, 3],
      [3, true, 2],
      [4, true, 1],
      [5, true, 0],
    ]);
  });

  it('refuses each older timestamp after a newer one', () => {
    const versions = [724, 753, 761, 762];
    const bytes = (version: number) => read(`timestamps/${version}.timestamp.json`);
    for (const newer of versions) {
      for (const olderVersion of versions.filter((version) => version < newer)) {
        const trusted = TrustedMetadata.fromTrustedRoot(rootBytes(15));
        assert.equal(trusted.restoreTimestamp(bytes(newer)), true);
        assert.throws(
          () => trusted.updateTimestamp(bytes(olderVersion), now),
          (error) => error instanceof MetadataError && error.code === 'ROLLBACK' && error.reason === 'OLDER',
        );
        assert.equal(trusted.timestamp?.file.version, newer);
      }
    }
  });
});
