/** The judge of histories: a good one passes, and each way to break it has its name. */
import assert from 'node:assert/strict';
import { auditHash, auditStart } from '@mandate/api';
import { sha256Of } from '@mandate/metadata';
import {
  faultsOf,
  type ChainedRecord,
  type FaultKind,
  type FileAt,
  type History,
  type Read,
  type Write,
} from './history.ts';

const tenant = 'acme';

function file(name: string, version: number, content = ''): FileAt {
  return { version, digest: sha256Of(`${name} ${version} ${content}`) };
}

type Versions = Readonly<Record<string, number>>;

function filesOf(versions: Versions): Map<string, FileAt> {
  return new Map(Object.entries(versions).map(([role, version]) => [role, file(role, version)]));
}

/** A head and its snapshot have the same number here. */
function read(reader: string, head: number, versions: Versions, change: Partial<Read> = {}): Read {
  const files = filesOf(versions);
  const [timestamp, snapshot] = [file('timestamp', head), file('snapshot', head)];
  return {
    reader,
    where: 'here',
    tenant,
    timestamp,
    named: snapshot,
    snapshot,
    listed: files,
    files,
    ...change,
  };
}

function write(id: string, head: number | undefined, versions: Versions): Write {
  const live = head === undefined ? undefined : { snapshotVersion: head, timestampVersion: head };
  return { tenant, id, files: filesOf(versions), live };
}

interface Entry {
  readonly publication: string;
  readonly versions: Versions;
}

function audit(entries: readonly Entry[]): ChainedRecord[] {
  let hash: Uint8Array = auditStart;
  const at = new Map<string, FileAt>();
  return entries.map(({ publication, versions }, i) => {
    const changes = Object.entries(versions).map(([role, version]) => {
      const [from, to] = [at.get(role), file(role, version)];
      at.set(role, to);
      return { role, ...(from && { from }), to };
    });
    const record = JSON.stringify({ seq: i + 1, publication, changes });
    hash = auditHash(hash, record);
    return { seq: i + 1, record, hash };
  });
}

const entries: readonly Entry[] = [
  { publication: 'p1', versions: { a: 1, b: 1 } },
  { publication: 'p2', versions: { a: 2 } },
  { publication: 'p3', versions: { a: 3, b: 2 } },
];
const writes = [write('p1', 10, { a: 1, b: 1 }), write('p2', 20, { a: 2 }), write('p3', 30, { a: 3, b: 2 })];
const reads = [
  read('r1', 10, { a: 1, b: 1 }),
  read('r2', 10, { a: 1, b: 1 }),
  read('r2', 20, { a: 2, b: 1 }),
  read('r1', 30, { a: 3, b: 2 }),
  // Another one may be behind: it has seen nothing newer.
  read('r3', 10, { a: 1, b: 1 }),
];
/** As they are served at the end. */
const served = new Map<string, string | undefined>(
  writes.flatMap(({ files }) =>
    [...files].map(([role, { version, digest }]) => [`${version}.${role}`, digest] as const),
  ),
);
const good = { served, reads, writes, last: read('end', 30, { a: 3, b: 2 }), audit: audit(entries) };

function kindsOf(changes: Partial<typeof good>): FaultKind[] {
  const { last, served, audit: records, ...rest } = { ...good, ...changes };
  const history: History = { ...rest, ends: new Map([[tenant, { read: last, served, audit: records }]]) };
  return [...new Set(faultsOf(history).map(({ kind }) => kind))].sort();
}

describe('histories', () => {
  it('that are as they should be', () => {
    assert.deepEqual(kindsOf({}), []);
    // Who sent it again hears again that it is live; who lost a race leaves no trace; a timestamp may be renewed.
    const loser = { ...write('p4', undefined, {}), files: new Map([['a', file('a', 2, 'of the loser')]]) };
    assert.deepEqual(kindsOf({ writes: [...writes, write('p2', 20, { a: 2 }), loser] }), []);
    const renewed = { ...good.last, timestamp: file('timestamp', 40) };
    assert.deepEqual(kindsOf({ reads: [...reads, { ...renewed, reader: 'r1' }], last: renewed }), []);
  });

  it('of other tenants are theirs', () => {
    const elsewhere = [read('r1', 3, { a: 1 }), write('p9', 3, { a: 1 })].map((one) => ({
      ...one,
      tenant: 'other',
    }));
    const [theirs, wrote] = elsewhere as [Read, Write];
    assert.deepEqual(kindsOf({ reads: [...reads, theirs], writes: [...writes, wrote] }), []);
  });

  const broken: readonly (readonly [title: string, FaultKind[], Partial<typeof good>])[] = [
    [
      'an acknowledged file is not served',
      ['LOST'],
      { served: new Map([...served].filter(([name]) => name !== '2.a')) },
    ],
    [
      'an acknowledged file is served with other bytes',
      ['TWO_CONTENTS'],
      { served: new Map([...served, ['2.a', sha256Of('other')]]) },
    ],
    [
      'an acknowledged write is not there at the end',
      ['LOST', 'MIX'],
      { last: read('end', 30, { a: 2, b: 2 }), reads: [] },
    ],
    [
      'a whole head is gone at the end',
      ['LOST'],
      { last: read('end', 20, { a: 2, b: 1 }), reads: reads.slice(0, 3) },
    ],
    [
      'one version is acknowledged to two',
      ['AUDIT', 'GIVEN_TWICE'],
      { writes: [...writes, write('p4', 20, { a: 2 })] },
    ],
    [
      'a version is read with other bytes',
      ['MIX', 'TWO_CONTENTS'],
      {
        reads: [...reads, read('r4', 20, { a: 2, b: 1 }, { files: new Map([['a', file('a', 2, 'other')]]) })],
      },
    ],
    [
      'a timestamp has two contents',
      ['TWO_CONTENTS'],
      { reads: [...reads, read('r4', 20, { a: 2, b: 1 }, { timestamp: file('timestamp', 20, 'other') })] },
    ],
    [
      'what was acknowledged is not what is read',
      ['AUDIT', 'TWO_CONTENTS'],
      {
        writes: [
          ...writes.slice(1),
          { ...(writes[0] as Write), files: new Map([['a', file('a', 1, 'mine')]]) },
        ],
      },
    ],
    [
      'a timestamp stands before another snapshot',
      ['MIX'],
      { reads: [...reads, read('r4', 20, { a: 2, b: 1 }, { named: file('snapshot', 10) })] },
    ],
    [
      'a role file is of another state than the snapshot',
      ['MIX'],
      { reads: [...reads, read('r4', 20, { a: 2, b: 1 }, { files: filesOf({ a: 1 }) })] },
    ],
    ['half of a publication is seen', ['BACK', 'MIX'], { reads: [...reads, read('r4', 30, { a: 3, b: 1 })] }],
    ['a publication is seen before its head', ['MIX'], { reads: [...reads, read('r4', 10, { a: 2, b: 1 })] }],
    [
      'one reader goes back through another process',
      ['BACK'],
      { reads: [...reads, read('r1', 20, { a: 2, b: 1 })] },
    ],
    [
      'a later timestamp leads to an older role',
      ['BACK'],
      {
        reads: [...reads, read('r4', 50, { a: 3, b: 1 })],
        writes: writes.slice(0, 2),
        audit: audit(entries.slice(0, 2)),
        last: read('end', 60, { a: 3, b: 2 }),
      },
    ],
    [
      'a role leaves the snapshot',
      ['BACK'],
      {
        reads: [...reads, read('r4', 50, { a: 3, b: 2 }), read('r4', 60, { a: 3 })],
        writes: [],
        audit: [],
        last: read('end', 60, { a: 3 }),
      },
    ],
    [
      'a refused write is live',
      ['REFUSED_BUT_LIVE'],
      { writes: [...writes.slice(0, 2), write('p3', undefined, { a: 3, b: 2 })] },
    ],
    ['the log lacks a publication', ['AUDIT'], { audit: audit(entries.slice(0, 2)) }],
    ['the log has one twice', ['AUDIT'], { audit: audit([...entries, entries[2] as Entry]) }],
    [
      'the log has one that nobody asked for',
      ['AUDIT'],
      { audit: audit([...entries, { publication: 'p4', versions: { b: 3 } }]) },
    ],
    [
      'the log skips a version',
      ['AUDIT'],
      { audit: audit([...entries, { publication: 'p1', versions: { b: 4 } }]) },
    ],
    [
      'the log goes back',
      ['AUDIT'],
      { audit: audit([...entries, { publication: 'p5', versions: { b: 1 } }]) },
    ],
    [
      'a record was altered',
      ['AUDIT'],
      {
        audit: good.audit.map((one, i) =>
          i === 1 ? { ...one, record: one.record.replace('p2', 'p9') } : one,
        ),
      },
    ],
    ['a record was removed', ['AUDIT'], { audit: good.audit.filter((_, i) => i !== 1) }],
    [
      'records were swapped',
      ['AUDIT'],
      { audit: [good.audit[1], good.audit[0], good.audit[2]] as ChainedRecord[] },
    ],
    [
      'a number is given twice in the log',
      ['AUDIT'],
      { audit: good.audit.map((one) => ({ ...one, seq: Math.min(one.seq, 2) })) },
    ],
  ];
  for (const [title, kinds, changes] of broken)
    it(`${title}: ${kinds.join(', ')}`, () => assert.deepEqual(kindsOf(changes), kinds));
});
