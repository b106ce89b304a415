import assert from 'node:assert/strict';
import fc from 'fast-check';
import { matchesPattern, parseTargets } from '@mandate/metadata';
import { delegations, targetsFile } from './foreign-file.ts';

const segment = fc.constantFrom('a', 'b', '', '*', 'a*', '*b', '?', '[ab]', 'constructor', '__proto__');
const pattern = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((segments) => segments.join('/'))
  .filter((text) => text !== '');
const path = fc
  .array(fc.constantFrom('a', 'b', 'ab', '', 'constructor', '__proto__', '*'), { minLength: 1, maxLength: 4 })
  .map((segments) => segments.join('/'));

describe('metadata: the index of path patterns', () => {
  it('finds what a linear scan finds, in the signed order, asked in any order', () => {
    const roles = fc.array(fc.array(pattern, { maxLength: 4 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(roles, fc.array(path, { minLength: 1, maxLength: 6 }), (patterns, paths) => {
        const named = patterns.map((list, i) => ({ name: String(patterns.length - i), paths: list }));
        const parsed = parseTargets(targetsFile({ delegations: delegations(...named) })).delegations;
        for (const asked of paths) {
          const scanned = named.filter(({ paths: own }) => own.some((one) => matchesPattern(one, asked)));
          assert.deepEqual(
            parsed?.matching(asked).map(({ name }) => name),
            scanned.map(({ name }) => name),
          );
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
