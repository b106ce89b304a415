/** Writers and readers of one tenant behind a fleet whose processes come and go; they note what they were told and saw. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuditPage, Problem, Proposal, Publication } from '@mandate/api';
import { ClientError, HttpSource, MemoryStore, Updater, type View } from '@mandate/client';
import {
  MetadataError,
  nextVersion,
  parseTargets,
  sha256Of,
  withTargets,
  type JsonObject,
} from '@mandate/metadata';
import { fileAt, requireSound, servedVersions, walkFiles, writeOf } from './audit.ts';
import type { Fleet } from './fleet.ts';
import type { ChainedRecord, End, FileAt, Read, Write } from './history.ts';
import { publication, signed } from './owner.ts';
import { filesOf, holders, target, Team, type Holders } from './proposer.ts';
import { Client, servedFile, type Answer } from './service.ts';

/** Two roles for each of these, whose files always go live together. */
const couples = ['w0', 'w1'];
/** Its next version is written by several who know nothing of each other. */
const contended = 'org';
/** Two of three have to sign. */
const voted = 'repo~vote~app';

const timeoutMs = 2_000;

function rolesOf(couple: string): [string, string] {
  return [`repo~${couple}~a`, `repo~${couple}~b`];
}

export class FleetLoad {
  readonly team: Team;
  readonly reads: Read[] = [];
  readonly writes: Write[] = [];
  /** Why our verifier said no. */
  readonly refusals = new Set<string>();
  #stopping = false;
  #abandoned = false;
  readonly #fleet: Fleet;
  readonly #token: string;
  readonly #pauseMs: number;

  private constructor(fleet: Fleet, token: string, team: Team, pauseMs: number) {
    this.#fleet = fleet;
    this.#token = token;
    this.team = team;
    this.#pauseMs = pauseMs;
  }

  static async start(fleet: Fleet, token: string, path: string, pauseMs: number): Promise<FleetLoad> {
    const roles: Record<string, Holders> = {};
    for (const couple of couples) for (const role of rolesOf(couple)) roles[role] = holders(role, 1, 1);
    roles[voted] = holders('vote', 2, 3);
    roles[contended] = holders('org', 1, 1);
    const operator = new Client(fleet.url(0), token);
    const team = await Team.start(operator, path, roles);
    // A new one: other processes may remember the operator's without its newest grant.
    const owner = await operator.with([{ tenant: team.slug, level: 'owner' }]);
    const load = new FleetLoad(fleet, owner.token, team, pauseMs);
    load.writes.push(writeOf(team.slug, team.first));
    return load;
  }

  /** Resolves once it was told to stop and everybody knows what became of what they sent. */
  async run(): Promise<void> {
    const { size } = this.#fleet;
    await Promise.all([
      ...couples.map((couple) => this.#writeCouple(couple)),
      ...['one', 'other'].map((writer) => this.#contend(writer)),
      this.#vote(),
      ...['r0', 'r1'].map((reader) => this.#verify(reader)),
      ...Array.from({ length: size }, (_, i) => this.#look(i)),
    ]);
  }

  stop(): void {
    this.#stopping = true;
  }

  /** Nobody answers any more: ends what waits for an outcome. */
  abandon(): void {
    this.#abandoned = true;
    this.stop();
  }

  async #wait(ms = 50): Promise<void> {
    if (this.#abandoned) throw new Error('given up');
    await sleep(ms);
  }

  /** Publications so far. */
  get acknowledged(): number {
    return this.writes.filter(({ live }) => live !== undefined).length;
  }

  /** How the tenant stands, once every process has caught up with what was acknowledged. */
  async end(): Promise<End> {
    const { slug } = this.team;
    const newest = Math.max(...this.writes.map(({ live }) => live?.timestampVersion ?? 0));
    const ends: Read[] = [];
    for (let i = 0; i < this.#fleet.size; i += 1) {
      for (;;) {
        const read = await walkFiles(this.#fleet.url(i), slug, placeName(i));
        this.reads.push(read);
        if (read.timestamp.version >= newest) {
          ends.push(read);
          break;
        }
        await this.#wait();
      }
    }
    const read = ends[0];
    assert.ok(read !== undefined);
    const served = await servedVersions(this.#fleet.any(), slug, this.writes);
    return { read, served, audit: await this.#audit() };
  }

  async #audit(): Promise<ChainedRecord[]> {
    const records: ChainedRecord[] = [];
    for (let after: number | undefined = 0; after !== undefined;) {
      const { body }: Answer<AuditPage> = await this.#ask('GET', `audit?chain=publications&after=${after}`);
      records.push(...body.entries.map((one) => ({ ...one, hash: Buffer.from(one.hash, 'hex') })));
      after = body.next;
    }
    return records;
  }

  /** Again and again, from whichever process, until one of them knows the outcome. */
  async #ask<T>(method: string, path: string, body?: unknown): Promise<Answer<T & Problem>> {
    const { slug } = this.team;
    for (;;) {
      const client = new Client(this.#fleet.any(), this.#token, timeoutMs);
      const answer = await client
        .call<T & Problem>(method, `/v1/tenants/${slug}/${path}`, body)
        .catch(() => undefined);
      if (answer !== undefined && answer.status < 500) return answer;
      // No answer, or one that says nothing of the outcome.
      await this.#wait();
    }
  }

  /** Publishes, and notes what became of it. */
  async #publish(contents: ReadonlyMap<string, JsonObject>): Promise<Answer<Publication & Problem>> {
    const texts = new Map<string, string>();
    const files = new Map<string, FileAt>();
    for (const [role, content] of contents) {
      const text = await signed(content, this.team.of(role).signers);
      texts.set(role, text);
      files.set(role, { version: Number(content['version']), digest: sha256Of(text) });
    }
    const request = publication(Object.fromEntries(texts));
    const answer = await this.#ask<Publication>('POST', 'publications', request);
    assert.ok([200, 201, 409].includes(answer.status), JSON.stringify(answer.body));
    const live = answer.status === 409 ? undefined : answer.body;
    this.writes.push({ tenant: this.team.slug, id: request.id, files, live });
    return answer;
  }

  /** In one hand: nothing but the service's own fault could make it lose a race. */
  async #writeCouple(couple: string): Promise<void> {
    for (let i = 0; !this.#stopping; i += 1) {
      const contents = new Map(
        rolesOf(couple).map((role) => [role, this.team.next(role, `${couple}/${role.at(-1)}/v${i % 8}`)]),
      );
      const answer = await this.#publish(contents);
      assert.notEqual(answer.status, 409, JSON.stringify(answer.body));
      for (const [role, content] of contents) this.team.content.set(role, content);
      await this.#wait(this.#pauseMs);
    }
  }

  async #contend(writer: string): Promise<void> {
    const { slug, expires } = this.team;
    let base = this.team.content.get(contended) as JsonObject;
    for (let i = 0; !this.#stopping; i += 1) {
      const next = withTargets(
        nextVersion(base, expires),
        new Map([[`${writer}/app/v${i % 8}`, target(`${writer}${i}`)]]),
      );
      const answer = await this.#publish(new Map([[contended, next]]));
      if (answer.status === 409) {
        const version = answer.body.current?.versions[contended] ?? 0;
        assert.ok(
          version >= Number(next['version']),
          `told the version that won: ${JSON.stringify(answer.body)}`,
        );
        base = parseTargets(await this.#served(slug, `${version}.${contended}.json`)).envelope.signed;
      } else base = next;
      await this.#wait(this.#pauseMs);
    }
  }

  async #served(slug: string, name: string): Promise<Buffer> {
    for (;;) {
      const found = await servedFile(this.#fleet.any(), slug, name).catch(withoutAnswer);
      if (found !== undefined) return found;
      await this.#wait();
    }
  }

  /** A proposal, the second signature for it, and how it ended. */
  async #vote(): Promise<void> {
    const { team } = this;
    for (let i = 0; !this.#stopping; i += 1) {
      const content = team.next(voted, `vote/app/v${i % 8}`);
      const signature = (holder: number) => team.signature(voted, content, holder % 3);
      const made = await this.#ask<Proposal>('POST', 'proposals', {
        files: filesOf({ [voted]: content }),
        signatures: [await signature(i)],
      });
      assert.ok(made.status === 200 || made.status === 201, JSON.stringify(made.body));
      const path = `proposals/${made.body.number}`;
      const added = await this.#ask<Proposal>('POST', `${path}/signatures`, {
        signatures: [await signature(i + 1)],
      });
      assert.equal(added.status, 200, JSON.stringify(added.body));
      let found = added.body;
      while (found.state === 'open') {
        await this.#wait();
        found = (await this.#ask<Proposal>('GET', path)).body;
      }
      const { state, publication: live } = found;
      assert.ok(state === 'published' && live !== undefined, state);
      const bytes = await this.#served(team.slug, `${live.versions[voted]}.${voted}.json`);
      assert.deepEqual(parseTargets(bytes).envelope.signed, content);
      const files = new Map([[voted, { version: Number(content['version']), digest: sha256Of(bytes) }]]);
      this.writes.push({ tenant: team.slug, id: live.id, files, live });
      team.content.set(voted, content);
      await this.#wait(this.#pauseMs);
    }
  }

  /** Our verifier, with one memory, each of its requests to another process. */
  async #verify(reader: string): Promise<void> {
    const { slug, genesis } = this.team;
    let where = '';
    const source = {
      fetch: (name: string, maxBytes: number) => {
        const url = this.#fleet.any();
        if (name === 'timestamp.json') where = `${url} at ${new Date().toISOString()}`;
        const options = { retries: 0, timeoutMs };
        return new HttpSource(`${url}/tuf/${slug}/metadata`, options).fetch(name, maxBytes);
      },
    };
    const updater = new Updater({ source, store: new MemoryStore(), pin: { genesis }, refreshAfterMs: 0 });
    const roles = [...couples.flatMap(rolesOf), voted, contended];
    while (!this.#stopping) {
      try {
        const view = await updater.refresh(Date.now());
        for (const role of roles) await view.load(role, 'targets', Date.now());
        this.reads.push(readOf(view, roles, { reader: `${reader} of ${slug}`, where, tenant: slug }));
      } catch (error) {
        if (!(error instanceof ClientError || error instanceof MetadataError)) throw error;
        this.refusals.add(`${error.code}/${error.reason}`);
      }
      await this.#wait(this.#pauseMs);
    }
  }

  /** What one place serves, before and after its process was killed, file by file. */
  async #look(i: number): Promise<void> {
    const { slug } = this.team;
    const known = new Set<string>();
    while (!this.#stopping) {
      const walk = walkFiles(this.#fleet.url(i), slug, placeName(i), (name) => known.has(name));
      const read = await walk.catch(withoutAnswer);
      if (read !== undefined) {
        this.reads.push(read);
        for (const [role, { version }] of read.listed) known.add(`${version}.${role}.json`);
      }
      await this.#wait(this.#pauseMs);
    }
  }
}

function placeName(i: number): string {
  return `place ${i}`;
}

/** What everybody was told and saw, judged together. */
export async function requireAllSound(loads: readonly FleetLoad[]): Promise<void> {
  const ends = await Promise.all(loads.map(async (load) => [load.team.slug, await load.end()] as const));
  requireSound({
    reads: loads.flatMap(({ reads }) => reads),
    writes: loads.flatMap(({ writes }) => writes),
    ends: new Map(ends),
  });
}

/** A process that is away, goes away, or has no database now. @throws where it says that a file is not there */
function withoutAnswer(error: unknown): undefined {
  if (error instanceof Error && /: 4\d\d$/u.test(error.message)) throw error;
}

function readOf(
  { trusted }: View,
  roles: readonly string[],
  by: Pick<Read, 'reader' | 'where' | 'tenant'>,
): Read {
  const { root, timestamp, snapshot } = trusted;
  assert.ok(timestamp !== undefined && snapshot !== undefined);
  const at = ({ file }: { file: { version: number; envelope: { bytes: Uint8Array } } }): FileAt => ({
    version: file.version,
    digest: sha256Of(file.envelope.bytes),
  });
  const files = new Map([['root', at(root)]]);
  for (const role of roles) {
    const held = trusted.role(role, 'targets', Date.now());
    assert.ok(held !== undefined, role);
    files.set(role, at(held));
  }
  return {
    ...by,
    timestamp: at(timestamp),
    named: fileAt(timestamp.file.snapshot),
    snapshot: at(snapshot),
    listed: new Map([...snapshot.file.roles].map(([role, entry]) => [role, fileAt(entry)])),
    files,
  };
}
