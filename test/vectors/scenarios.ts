/** The scenarios behind the vectors: repositories from fixed keys, and what a client must say of them. */
import { formatDate, sha256Of, type JsonObject, type JsonValue } from '@mandate/metadata';
import { SimRepository, day, signedFile, type DelegationOptions, type SimKey, type SimOptions } from '../support/repository.ts';
import { testKey } from '../metadata/test-key.ts';

/** One file, as text where it is UTF-8. */
export interface VectorFile {
  readonly file: string;
  readonly text?: string;
  readonly base64?: string;
}

export interface Expectation {
  readonly code: string;
  readonly reason?: string;
  /** Number of the step that is refused; absent where it is the look-up. */
  readonly step?: number;
  readonly sha256?: string;
  readonly length?: number;
  /** Roles on the way to the target. */
  readonly roles?: readonly string[];
}

export interface Scenario {
  readonly description: string;
  /** Section of the TUF specification 1.0.34, or what else demands it. */
  readonly spec: string;
  readonly trustedRoot: VectorFile;
  readonly steps: readonly VectorFile[];
  /** ISO 8601. */
  readonly now: string;
  readonly target?: string;
  readonly expect: Expectation;
}

type Writable = Record<string, JsonValue>;
const target = 'team/app/v1';

function vectorFile(file: string, bytes: Uint8Array): VectorFile {
  const text = Buffer.from(bytes).toString();
  return Buffer.compare(Buffer.from(text), bytes) === 0 ? { file, text } : { file, base64: Buffer.from(bytes).toString('base64') };
}

/** A repository of fixed keys, and the files that a client is given of it, in turn. */
class Stage {
  readonly sim: SimRepository;
  readonly steps: VectorFile[] = [];
  readonly #root: VectorFile;

  constructor(options: SimOptions = {}) {
    const topKeys = Object.fromEntries(['timestamp', 'snapshot', 'targets'].map((role) => [role, [testKey(role)]]));
    this.sim = new SimRepository({ rootKeys: [testKey('root')], topKeys, ...options });
    this.#root = vectorFile('1.root.json', this.sim.rootBytes);
  }

  /** The usual tenant: a repository role under targets that lists one image. */
  static tenant(options: SimOptions = {}): Stage {
    const stage = new Stage(options);
    for (const role of ['distrust', 'reserved', 'repo~team~app', 'org']) stage.delegate('targets', role);
    stage.sim.addTarget('repo~team~app', target, 'image one');
    stage.sim.publish();
    return stage;
  }

  static plain(options: SimOptions = {}): Stage {
    const stage = new Stage({ profile: false, hashes: false, ...options });
    stage.sim.delegate('targets', 'a', { keys: [testKey('a')], paths: ['team/app/*'] });
    stage.sim.addTarget('a', target, 'image one');
    stage.sim.publish();
    return stage;
  }

  delegate(delegator: string, role: string, options: DelegationOptions = {}): void {
    this.sim.delegate(delegator, role, { keys: [testKey(role)], ...options });
  }

  /** Gives the client a file as it is served now. */
  give(file: string, bytes: Uint8Array | undefined = this.sim.files.get(file)): this {
    if (bytes === undefined) throw new TypeError(`${file} is not there`);
    this.steps.push(vectorFile(file, bytes));
    return this;
  }

  timestamp(): this {
    return this.give('timestamp.json');
  }

  snapshot(): this {
    return this.give(`${this.sim.signed('snapshot')['version'] as number}.snapshot.json`);
  }

  roles(...roles: readonly string[]): this {
    for (const role of roles) this.give(this.sim.nameOf(role, this.sim.signed(role)['version'] as number));
    return this;
  }

  /** Timestamp and snapshot as published last, and every role on the usual way. */
  all(...roles: readonly string[]): this {
    return this.timestamp().snapshot().roles('targets', ...(roles.length > 0 ? roles : ['repo~team~app']));
  }

  expect(description: string, spec: string, expect: Expectation, asked?: string): Scenario {
    return {
      description,
      spec,
      trustedRoot: this.#root,
      steps: this.steps,
      now: formatDate(this.sim.now),
      ...(asked === undefined ? {} : { target: asked }),
      expect,
    };
  }

  /** Refused at the file given last. */
  refuses(description: string, spec: string, code: string, reason: string): Scenario {
    return this.expect(description, spec, { code, reason, step: this.steps.length - 1 });
  }

  /** Refused when the target is looked up. */
  refusesLookup(description: string, spec: string, code: string, reason: string, asked: string = target): Scenario {
    return this.expect(description, spec, { code, reason }, asked);
  }

  finds(description: string, spec: string, content: string, roles: readonly string[], asked: string = target): Scenario {
    const sha256 = sha256Of(content).slice(7);
    return this.expect(description, spec, { code: 'VERIFIED', length: content.length, sha256, roles }, asked);
  }

  changeDelegation(role: string, change: (one: Writable, delegations: Writable) => void): void {
    this.sim.update('targets', (signed) => {
      const delegations = signed['delegations'] as Writable;
      const one = (delegations['roles'] as unknown as Writable[]).find(({ name }) => name === role);
      if (one !== undefined) change(one, delegations);
    });
    this.sim.publish();
  }
}

/** Signs what the builder wrote last in another way. */
function resigned(stage: Stage, role: string, change: (signed: Writable) => JsonObject | void, keys?: readonly SimKey[]): Uint8Array {
  const signed = structuredClone(stage.sim.signed(role));
  return signedFile(change(signed) ?? signed, keys ?? stage.sim.signers.get(role) ?? []);
}

const validScenarios: Readonly<Record<string, () => Scenario>> = {
  'walk-to-a-target': () => Stage.tenant().all().finds('a target two roles below the root', '5.6.7', 'image one', ['targets', 'repo~team~app']),
  'absent-target': () =>
    Stage.tenant().all().expect('a path that its role does not list', '5.6.7', { code: 'NOT_SIGNED' }, 'team/app/v2'),
  'root-chain': () => {
    const stage = Stage.tenant();
    for (const name of ['root 2', 'root 3']) stage.sim.rotate('root', [testKey(name)]);
    stage.sim.publish();
    return stage.give('2.root.json').give('3.root.json').all().finds('two new roots, each signed by the one before', '5.3.4', 'image one', ['targets', 'repo~team~app']);
  },
  'fast-forward-recovery': () => {
    const stage = Stage.tenant();
    stage.sim.signed('timestamp')['version'] = 1_000_000;
    stage.sim.publish();
    stage.timestamp().snapshot();
    stage.sim.rotate('timestamp', [testKey('timestamp 2')]);
    stage.sim.signed('timestamp')['version'] = 5;
    stage.sim.publish();
    return stage.give('2.root.json').all().finds('new timestamp keys end a version that an attacker ran up', '5.3.11', 'image one', ['targets', 'repo~team~app']);
  },
  'threshold-of-two': () => {
    const stage = new Stage();
    stage.delegate('targets', 'repo~team~app', { keys: [testKey('a'), testKey('b'), testKey('c')], threshold: 2 });
    stage.sim.signers.set('repo~team~app', [testKey('c'), testKey('a')]);
    stage.sim.addTarget('repo~team~app', target, 'image one');
    stage.sim.publish();
    return stage.all().finds('two of three keys', '5.3.4', 'image one', ['targets', 'repo~team~app']);
  },
  'succinct-bins': () => {
    const stage = Stage.tenant();
    stage.sim.split('org', 2);
    const bins = ['0', '1', '2', '3'].map((hex) => `bins~org-${hex}`);
    const holder = 'bins~org-0';
    for (const bin of bins) stage.sim.addTarget(bin, 'other/tool/v1', 'tool');
    stage.sim.publish();
    const first = Number.parseInt(sha256Of('other/tool/v1').slice(7, 8), 16) >> 2;
    return stage.all('org', ...bins).finds('the bin is chosen by the leading bits of the SHA-256 of the path', 'TAP 15', 'tool', ['targets', 'org', holder.replace('0', String(first))], 'other/tool/v1');
  },
  'hash-prefixes': () => {
    const stage = new Stage({ profile: false });
    const prefix = sha256Of('x').slice(7, 10);
    stage.delegate('targets', 'a', { hashPrefixes: [prefix === '000' ? '001' : '000'] });
    stage.delegate('targets', 'b', { hashPrefixes: [prefix] });
    for (const role of ['a', 'b']) stage.sim.addTarget(role, 'x', role);
    stage.sim.publish();
    return stage.all('a', 'b').finds('only the role whose prefix the SHA-256 of the path starts with is asked', '4.5', 'b', ['targets', 'b'], 'x');
  },
  'signed-order': () => {
    const stage = new Stage({ profile: false });
    for (const role of ['10', '9']) {
      stage.delegate('targets', role);
      stage.sim.addTarget(role, 'x', `by ${role}`);
    }
    stage.sim.publish();
    return stage.all('10', '9').finds('roles called like integers keep the order in which they are signed', '5.6.7', 'by 10', ['targets', '10'], 'x');
  },
  terminating: () => {
    const stage = new Stage({ profile: false });
    stage.delegate('targets', 'a', { terminating: true });
    stage.delegate('targets', 'b');
    stage.sim.addTarget('b', 'x', 'hidden');
    stage.sim.publish();
    return stage.all('a', 'b').expect('nothing behind a terminating delegation is asked', '5.6.7.2.1', { code: 'NOT_SIGNED' }, 'x');
  },
  'code-point-order': () => {
    const stage = Stage.plain();
    stage.sim.update('a', (signed) => (signed['x-order'] = { '\u{1f600}': 1, '\uffee': 2 }));
    stage.sim.publish();
    return stage.all('a').finds('members are signed in the order of code points, not of UTF-16 code units', '4.2', 'image one', ['targets', 'a']);
  },
  'pretty-printed': () => {
    const stage = Stage.plain();
    for (const role of ['targets', 'a']) {
      const bytes = stage.sim.sign(role);
      stage.sim.writeRole(role, Buffer.from(JSON.stringify(JSON.parse(Buffer.from(bytes).toString()), null, 2)));
    }
    stage.sim.publish();
    return stage.all('a').finds('a file in any spelling is verified in its canonical form', '4.2', 'image one', ['targets', 'a']);
  },
  'unknown-hash-beside-a-known-one': () => {
    const stage = Stage.plain();
    stage.sim.update('a', (signed) => {
      const one = (signed['targets'] as Record<string, Writable>)[target] as Writable;
      one['hashes'] = { ...(one['hashes'] as Writable), md5: 'not looked at' };
    });
    stage.sim.publish();
    return stage.all('a').finds('hashes of other algorithms are ignored', '4.5', 'image one', ['targets', 'a']);
  },
  'own-name-below-its-owner': () => {
    const stage = Stage.tenant();
    stage.sim.addTarget('org', '~distrust/x', 'by org');
    stage.sim.addTarget('distrust', '~distrust/x', 'by distrust');
    stage.sim.publish();
    return stage.all('distrust').finds('a ~ name is resolved in the role that owns it', 'profile', 'by distrust', ['targets', 'distrust'], '~distrust/x');
  },
};

const invalidScenarios: Readonly<Record<string, () => Scenario>> = {
  'threshold-zero': () => {
    const stage = Stage.tenant();
    stage.changeDelegation('org', (role) => (role['threshold'] = 0));
    return stage.all().refusesLookup('a threshold of 0', '4.3', 'MALFORMED', 'SHAPE');
  },
  'threshold-negative': () => {
    const stage = Stage.tenant();
    stage.changeDelegation('org', (role) => (role['threshold'] = -1));
    return stage.all().refusesLookup('a threshold of -1', '4.3', 'MALFORMED', 'SHAPE');
  },
  'threshold-fractional': () => {
    const stage = Stage.tenant();
    stage.changeDelegation('org', (role) => (role['threshold'] = 1.5));
    return stage.all().refusesLookup('a threshold of 1.5', '4.3', 'MALFORMED', 'JSON');
  },
  'one-key-under-two-ids': () => {
    const stage = Stage.plain();
    const again = { ...testKey('a'), keyId: 'another' };
    stage.changeDelegation('a', (role, delegations) => {
      role['threshold'] = 2;
      role['keyids'] = [testKey('a').keyId, 'another'];
      (delegations['keys'] as Writable)['another'] = testKey('a').publicKey.wire;
    });
    stage.sim.writeRole('a', stage.sim.sign('a', [testKey('a'), again]));
    stage.sim.publish();
    return stage.all('a').refusesLookup('one key listed under two ids is one key', '5.3.4', 'THRESHOLD_NOT_MET', 'SIGNATURES');
  },
  'one-signature-twice': () => {
    const stage = Stage.plain();
    stage.changeDelegation('a', (role) => (role['threshold'] = 2));
    const text = Buffer.from(stage.sim.sign('a')).toString();
    const [, signature = ''] = /"signatures":\[(\{.*?\})\]/.exec(text) ?? [];
    stage.sim.writeRole('a', Buffer.from(text.replace(signature, `${signature},${signature}`)));
    stage.sim.publish();
    return stage.all('a').refusesLookup('one signature repeated to reach a threshold', '5.3.4', 'MALFORMED', 'SHAPE');
  },
  'one-of-two-keys': () => {
    const stage = new Stage();
    stage.delegate('targets', 'repo~team~app', { keys: [testKey('a'), testKey('b')], threshold: 2 });
    stage.sim.signers.set('repo~team~app', [testKey('a'), testKey('x')]);
    stage.sim.addTarget('repo~team~app', target, 'image one');
    stage.sim.publish();
    return stage.all().refusesLookup('one of two keys, and one that the role does not have', '5.6.3', 'THRESHOLD_NOT_MET', 'SIGNATURES');
  },
  'junk-signatures': () => {
    const stage = Stage.plain();
    const junk = Array.from({ length: 600 }, (_, i) => ({ keyid: `junk ${i}`, sig: '00' }));
    stage.sim.writeRole('a', Buffer.from(JSON.stringify({ signatures: junk, signed: stage.sim.signed('a') })));
    stage.sim.publish();
    return stage.all('a').refusesLookup('more than 512 signatures', 'limit', 'LIMIT_EXCEEDED', 'COUNT');
  },
  'key-of-small-order': () => {
    const stage = Stage.tenant();
    stage.changeDelegation('org', (_, delegations) => {
      const key = { keytype: 'ed25519', keyval: { public: `01${'00'.repeat(31)}` }, scheme: 'ed25519' };
      (delegations['keys'] as Writable)['weak'] = key;
    });
    return stage.all().refusesLookup('an Ed25519 key under which anybody can sign', '4.2', 'MALFORMED', 'KEY');
  },
  'root-by-its-own-keys-alone': () => {
    const stage = Stage.tenant();
    stage.sim.rotate('root', [testKey('root 2')]);
    return stage.give('2.root.json', stage.sim.sign('root', [testKey('root 2')])).refuses('a root that its predecessor did not sign', '5.3.4', 'THRESHOLD_NOT_MET', 'SIGNATURES');
  },
  'root-by-its-old-keys-alone': () => {
    const stage = Stage.tenant();
    stage.sim.rotate('root', [testKey('root 2')]);
    return stage.give('2.root.json', stage.sim.sign('root', [testKey('root')])).refuses('a root that does not meet its own threshold', '5.3.4', 'THRESHOLD_NOT_MET', 'SIGNATURES');
  },
  'root-skips-a-version': () => {
    const stage = Stage.tenant();
    stage.sim.rotate('root', [testKey('root 2')]);
    const bytes = resigned(stage, 'root', (signed) => void (signed['version'] = 3), [testKey('root'), testKey('root 2')]);
    return stage.give('2.root.json', bytes).refuses('a root two versions on', '5.3.5', 'MALFORMED', 'VERSION');
  },
  'root-of-another-tenant': () => {
    const stage = Stage.tenant();
    stage.sim.rotate('targets', [testKey('targets')]);
    const bytes = resigned(stage, 'root', (signed) => void (signed['x-mandate-tenant'] = sha256Of('another')));
    return stage.give('2.root.json', bytes).refuses('a root that names another tenant', 'profile', 'MALFORMED', 'BINDING');
  },
  'root-drops-the-profile': () => {
    const stage = Stage.tenant();
    stage.sim.rotate('targets', [testKey('targets')]);
    const bytes = resigned(stage, 'root', (signed) => void delete signed['x-mandate-profile']);
    return stage.give('2.root.json', bytes).refuses('a root without the profile that its predecessor had', 'profile', 'MALFORMED', 'PROFILE');
  },
  'root-claims-a-tenant': () => {
    const stage = Stage.plain();
    stage.sim.rotate('targets', [testKey('targets')]);
    const bytes = resigned(stage, 'root', (signed) => void Object.assign(signed, { 'x-mandate-profile': 1, 'x-mandate-tenant': sha256Of('another') }));
    return stage.give('2.root.json', bytes).refuses('a foreign chain that names the profile later, and any tenant', 'profile', 'MALFORMED', 'PROFILE');
  },
  'timestamp-rollback': () => {
    const stage = Stage.tenant();
    const old = stage.sim.files.get('timestamp.json');
    stage.sim.publish();
    return stage.timestamp().give('timestamp.json', old).refuses('an older timestamp', '5.4.3.1', 'ROLLBACK', 'OLDER');
  },
  'timestamp-names-an-older-snapshot': () => {
    const stage = Stage.tenant();
    stage.timestamp();
    stage.sim.beforeSign = (_, signed) => (((signed['meta'] as Record<string, Writable>)['snapshot.json'] as Writable)['version'] = 1);
    stage.sim.writeTimestamp();
    return stage.timestamp().refuses('a newer timestamp that names an older snapshot', '5.4.3.2', 'ROLLBACK', 'OLDER');
  },
  'timestamp-equivocation': () => {
    const stage = Stage.tenant();
    stage.timestamp();
    const bytes = resigned(stage, 'timestamp', (signed) => void (signed['expires'] = stage.sim.expiry(2)));
    return stage.give('timestamp.json', bytes).refuses('one timestamp version with two contents', 'profile', 'ROLLBACK', 'EQUIVOCATION');
  },
  'timestamp-expired': () => {
    const stage = Stage.tenant();
    stage.sim.now += day;
    return stage.timestamp().refuses('a timestamp at its expiry', '5.4.4', 'EXPIRED', 'EXPIRES');
  },
  'timestamp-from-the-future': () => {
    const stage = Stage.tenant();
    stage.sim.now -= 301_000;
    return stage.timestamp().refuses('a timestamp issued more than 5 minutes ahead of the clock', 'profile', 'STALE', 'ISSUED_IN_FUTURE');
  },
  'timestamp-by-other-keys': () => {
    const stage = Stage.tenant();
    return stage.give('timestamp.json', stage.sim.sign('timestamp', [testKey('snapshot')])).refuses('a timestamp signed by the snapshot key', '5.4.2', 'THRESHOLD_NOT_MET', 'SIGNATURES');
  },
  'expires-never': () => {
    const stage = Stage.tenant();
    return stage.give('timestamp.json', resigned(stage, 'timestamp', (signed) => void (signed['expires'] = 'never'))).refuses('a date that is none', '4.3', 'MALFORMED', 'DATE');
  },
  'snapshot-of-other-bytes': () => {
    const stage = Stage.tenant();
    const old = stage.sim.files.get('1.snapshot.json');
    return stage.timestamp().give('2.snapshot.json', old).refuses('a snapshot other than the timestamp names', '5.5.2', 'MALFORMED', 'HASH');
  },
  'snapshot-of-another-version': () => {
    const stage = Stage.plain();
    return stage.timestamp().give('2.snapshot.json', stage.sim.files.get('1.snapshot.json')).refuses('a snapshot of another version, without hashes', '5.5.4', 'MALFORMED', 'VERSION');
  },
  'role-vanishes-from-the-snapshot': () => {
    const stage = Stage.tenant();
    stage.timestamp().snapshot();
    stage.sim.dropFromSnapshot('org');
    stage.sim.publish();
    return stage.timestamp().snapshot().refuses('a role that left the snapshot', '5.5.5', 'ROLLBACK', 'VANISHED');
  },
  'role-rollback': () => {
    const stage = Stage.tenant();
    stage.sim.update('org');
    stage.sim.publish();
    stage.timestamp().snapshot();
    stage.sim.beforeSign = (role, signed) => {
      if (role === 'snapshot') ((signed['meta'] as Record<string, Writable>)['org.json'] as Writable)['version'] = 1;
    };
    stage.sim.publish();
    return stage.timestamp().snapshot().refuses('a delegated role listed at an older version', '5.5.5', 'ROLLBACK', 'OLDER');
  },
  'role-equivocation': () => {
    const stage = Stage.tenant();
    stage.timestamp().snapshot();
    stage.sim.beforeSign = (role, signed) => {
      if (role === 'snapshot') ((signed['meta'] as Record<string, Writable>)['org.json'] as Writable)['hashes'] = { sha256: '0'.repeat(64) };
    };
    stage.sim.publish();
    return stage.timestamp().snapshot().refuses('one version of a role with two contents', 'profile', 'ROLLBACK', 'EQUIVOCATION');
  },
  'role-expired': () => {
    const stage = Stage.tenant();
    stage.sim.update('repo~team~app', (signed) => (signed['expires'] = formatDate(stage.sim.now)));
    stage.sim.publish();
    return stage.all().refusesLookup('a delegated role at its expiry', '5.6.5', 'EXPIRED', 'EXPIRES');
  },
  'role-of-other-bytes': () => {
    const stage = Stage.tenant();
    stage.timestamp().snapshot().roles('targets');
    const bytes = Buffer.concat([stage.sim.files.get('2.repo~team~app.json') ?? Buffer.alloc(0), Buffer.from('\n')]);
    return stage.give('2.repo~team~app.json', bytes).refusesLookup('a role file with one byte more than the snapshot lists', '5.6.2', 'MALFORMED', 'HASH');
  },
  'role-missing-from-the-snapshot': () => {
    const stage = Stage.plain();
    stage.sim.dropFromSnapshot('a');
    stage.sim.publish();
    return stage.all('a').refusesLookup('a role that is delegated and not in the snapshot', '5.6', 'MALFORMED', 'DELEGATION');
  },
  "another-role's-file": () => {
    const stage = new Stage();
    for (const role of ['repo~a', 'repo~b']) stage.delegate('targets', role, { keys: [testKey('shared')] });
    stage.sim.addTarget('repo~a', 'b/v1', 'smuggled');
    stage.sim.update('repo~b');
    stage.sim.writeRole('repo~b', stage.sim.files.get('2.repo~a.json'));
    stage.sim.publish();
    return stage.all('repo~b').refusesLookup("another role's file under shared keys", 'profile', 'MALFORMED', 'BINDING', 'b/v1');
  },
  "another-tenant's-timestamp": () => {
    const stage = Stage.tenant();
    const bytes = resigned(stage, 'timestamp', (signed) => void (signed['x-mandate-tenant'] = sha256Of('another')));
    return stage.give('timestamp.json', bytes).refuses('a timestamp of another tenant under shared keys', 'profile', 'MALFORMED', 'BINDING');
  },
  'snapshot-without-hashes': () => {
    const stage = Stage.tenant();
    stage.sim.beforeSign = (role, signed) => {
      if (role === 'snapshot') delete ((signed['meta'] as Record<string, Writable>)['org.json'] as Writable)['hashes'];
    };
    stage.sim.publish();
    return stage.timestamp().snapshot().refuses('a snapshot of the profile that lists no hash', 'profile', 'MALFORMED', 'BINDING');
  },
  'role-name-of-another-scope': () => {
    const stage = new Stage();
    stage.delegate('targets', 'repo~team~other', { paths: ['team/app/*'] });
    stage.sim.publish();
    return stage.all('repo~team~other').refusesLookup('a role whose name says another scope than its patterns', 'profile', 'MALFORMED', 'LAYOUT');
  },
  'role-called-targets': () => {
    const stage = Stage.plain();
    stage.changeDelegation('a', (role) => (role['name'] = 'targets'));
    return stage.all('a').refusesLookup('a delegated role called like a top-level role', '4.5', 'MALFORMED', 'NAME');
  },
  diamond: () => {
    const stage = new Stage({ profile: false });
    for (const role of ['a', 'b']) stage.delegate('targets', role);
    stage.delegate('a', 'shared', { keys: [testKey('s1')] });
    stage.delegate('b', 'shared', { keys: [testKey('s2')] });
    stage.sim.writeRole('shared', stage.sim.sign('shared', [testKey('s1')]));
    stage.sim.publish();
    return stage.all('a', 'b', 'shared').refusesLookup('a role that meets the threshold of one delegator and not of the other', '5.6.3', 'THRESHOLD_NOT_MET', 'SIGNATURES', 'x');
  },
  'too-many-roles': () => {
    const stage = new Stage({ profile: false });
    const roles = Array.from({ length: 33 }, (_, i) => `r${i}`);
    for (const role of roles) stage.delegate('targets', role);
    stage.sim.publish();
    return stage.all(...roles).refusesLookup('the 33rd role below targets', '5.6.7.1', 'LIMIT_EXCEEDED', 'DEPTH', 'x');
  },
  'hashes-empty': () => {
    const stage = Stage.plain();
    stage.sim.update('a', (signed) => (signed['targets'] = { [target]: { hashes: {}, length: 1 } }));
    stage.sim.publish();
    return stage.all('a').refusesLookup('a target without a hash', '4.5', 'MALFORMED', 'SHAPE');
  },
  'hashes-md5-alone': () => {
    const stage = Stage.plain();
    stage.sim.update('a', (signed) => (signed['targets'] = { [target]: { hashes: { md5: '00' }, length: 1 } }));
    stage.sim.publish();
    return stage.all('a').refusesLookup('a target with no hash of a known algorithm', '4.5', 'MALFORMED', 'SHAPE');
  },
  'duplicate-member': () => {
    const stage = Stage.plain();
    const text = Buffer.from(stage.sim.sign('a')).toString();
    stage.sim.writeRole('a', Buffer.from(text.replace('"signed":{', '"signed":{"version":9,')));
    stage.sim.publish();
    return stage.all('a').refusesLookup('a member that stands twice', '4.2', 'MALFORMED', 'JSON');
  },
  'two-signed-objects': () => {
    const stage = Stage.tenant();
    const text = Buffer.from(stage.sim.sign('timestamp')).toString();
    return stage.give('timestamp.json', Buffer.from(`${text.slice(0, -1)},"signed":{}}`)).refuses('two members "signed"', '4.2', 'MALFORMED', 'JSON');
  },
  'not-utf-8': () => {
    const stage = Stage.tenant();
    return stage.give('timestamp.json', Buffer.concat([stage.sim.sign('timestamp'), Buffer.from([0xff])])).refuses('a byte that is not UTF-8', '4.2', 'MALFORMED', 'JSON');
  },
  'nested-too-deep': () => {
    const stage = Stage.tenant();
    const text = `{"signatures":[],"signed":${'{"a":'.repeat(100)}1${'}'.repeat(100)}}`;
    return stage.give('timestamp.json', Buffer.from(text)).refuses('more than 64 levels', 'limit', 'LIMIT_EXCEEDED', 'DEPTH');
  },
  'timestamp-too-large': () => {
    const stage = Stage.tenant();
    const bytes = resigned(stage, 'timestamp', (signed) => void (signed['x-fill'] = 'x'.repeat(16_384)));
    return stage.give('timestamp.json', bytes).refuses('a timestamp of more than 16 KiB', 'limit', 'LIMIT_EXCEEDED', 'SIZE');
  },
  'another-major-version': () => {
    const stage = Stage.tenant();
    return stage.give('timestamp.json', resigned(stage, 'timestamp', (signed) => void (signed['spec_version'] = '2.0.0'))).refuses('a specification that is not 1.x', '4.3', 'MALFORMED', 'SPEC_VERSION');
  },
  'another-type': () => {
    const stage = Stage.tenant();
    return stage.give('timestamp.json', resigned(stage, 'timestamp', (signed) => void (signed['_type'] = 'snapshot'))).refuses('a file of another type', '4.6', 'MALFORMED', 'TYPE');
  },
};

const made = (scenarios: Readonly<Record<string, () => Scenario>>): Map<string, Scenario> =>
  new Map(Object.entries(scenarios).map(([name, make]) => [name, make()]));

/** By name. */
export const valid = (): Map<string, Scenario> => made(validScenarios);
export const invalid = (): Map<string, Scenario> => made(invalidScenarios);
