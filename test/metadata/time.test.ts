import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDate, parseDate } from '@mandate/metadata';
import { refuses } from './refusal.ts';

describe('metadata: dates', () => {
  it('read back as written, to the second', () => {
    const seconds = fc.integer({
      min: Date.UTC(1970, 0) / 1000,
      max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000,
    });
    fc.assert(
      fc.property(seconds, fc.nat({ max: 999 }), (second, fraction) => {
        const text = formatDate(second * 1000 + fraction);
        assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.equal(parseDate(text), second * 1000);
      }),
    );
  });

  it('may have a fraction and an offset, as real repositories have', () => {
    const at = Date.UTC(2030, 1, 3, 4, 5, 6);
    assert.equal(parseDate('2030-02-03T04:05:06.789Z'), at + 789);
    assert.equal(parseDate('2030-02-03T04:05:06.123456789Z'), at + 123);
    assert.equal(parseDate('2030-02-03T06:35:06+02:30'), at);
    assert.equal(parseDate('2030-02-02T23:05:06-05:00'), at);
  });

  it('lose no millisecond of a fraction', () => {
    for (let ms = 0; ms < 1_000; ms += 1) {
      const text = `2030-02-03T04:05:06.${String(ms).padStart(3, '0')}Z`;
      assert.equal(parseDate(text), Date.UTC(2030, 1, 3, 4, 5, 6, ms));
    }
  });

  for (const text of [
    'never',
    '',
    '2030-02-30T00:00:00Z',
    '2029-02-29T00:00:00Z',
    '2030-13-01T00:00:00Z',
    '2030-00-01T00:00:00Z',
    '2030-01-01T24:00:00Z',
    '2030-01-01T00:60:00Z',
    '2030-01-01T00:00:60Z',
    '2030-01-01T00:00:00',
    '2030-01-01 00:00:00Z',
    '2030-01-01T00:00:00z',
    '2030-01-01T00:00Z',
    '2030-01-01',
    '0000-01-01T00:00:00Z',
    '0099-01-01T00:00:00Z',
    '+010000-01-01T00:00:00Z',
    '-000001-01-01T00:00:00Z',
    '2030-01-01T00:00:00+24:00',
    '2030-01-01T00:00:00+00:60',
    '2030-01-01T00:00:00.Z',
    '2030-01-01T00:00:00Z\n',
    ' 2030-01-01T00:00:00Z',
    '1893456000',
    'Tue, 01 Jan 2030 00:00:00 GMT',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => refuses('MALFORMED/DATE', () => parseDate(text)));
  }

  it('are not written where four digits of a year do not do', () => {
    for (const ms of [Date.UTC(10_000, 0), -1e15, Number.NaN, Number.POSITIVE_INFINITY]) {
      refuses('MALFORMED/DATE', () => formatDate(ms));
    }
  });
});
