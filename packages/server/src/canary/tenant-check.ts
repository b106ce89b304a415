/** One tenant held before both implementations, and once more before anything is made of a difference. */
import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { MetadataError, parseRoot, type Digest } from '@mandate/metadata';
import { hasCode, ServerError } from '../error.ts';
import { comparePath, isBad, type Finding } from './answer.ts';
import type { CanaryConfig, CanaryTenant } from './canary-config.ts';
import { readFloor, type Floor, type KeptState } from './kept-state.ts';
import { OurReader } from './our-reader.ts';
import { samplePaths, type SampleWishes } from './sample.ts';
import { ServedView } from './served-view.ts';
import type { ServiceReader } from './service-reader.ts';
import { readWithStock, type StockReading } from './stock-reader.ts';

/** What became of one tenant. */
export interface TenantReport {
  readonly slug: string;
  readonly findings: readonly Finding[];
  /** Why something was skipped, for the log. */
  readonly skipped: SkipReason | undefined;
  /** Age of its newest timestamp, milliseconds; undefined where none was taken. */
  readonly timestampAgeMs: number | undefined;
  /** A difference that was gone when looked at again. */
  readonly passed: boolean;
}

export interface SkipReason {
  readonly why: 'out-of-time' | 'died' | 'private' | 'many-roots';
  /** What tuf-js was given last. */
  readonly file?: string | undefined;
  readonly bytes?: number | undefined;
  readonly pid?: number | undefined;
}

type Start = Partial<Floor> & Pick<Floor, 'root'>;

interface Attempt extends Omit<TenantReport, 'passed'> {
  /** Asked of both; the same are asked again. */
  readonly paths: readonly string[];
}

/** tuf-js stops after so many new roots, without a word. */
const stockRotations = 256;
const maxAttempts = 3;

export interface TenantCheckOptions {
  readonly config: CanaryConfig;
  readonly reader: ServiceReader;
  readonly state: KeptState;
  readonly signal: AbortSignal;
}

export class TenantCheck {
  readonly #options: TenantCheckOptions;

  constructor(options: TenantCheckOptions) {
    this.#options = options;
  }

  /**
   * Checks a tenant. What is bad is looked at again, with everything fetched anew, and only what was bad twice running
   * is reported so.
   *
   * @param isListed whether the service lists the tenant to us: then it must serve it to us
   */
  async run(
    tenant: CanaryTenant,
    isListed: boolean,
    wishes: Omit<SampleWishes, 'count'>,
  ): Promise<TenantReport> {
    const { config, signal } = this.#options;
    const asNew = config.random() < config.newReaderShare;
    const count = config.pathsPerTenant;
    let last = await this.#attempt(tenant, isListed, { ...wishes, count }, asNew);
    let passed = false;
    for (let attempts = 1; last.findings.some(isBad); attempts += 1) {
      await sleep(config.confirmMs, undefined, { signal }).catch(() => undefined);
      const before = new Set(last.findings.filter(isBad).map(({ path }) => path));
      last = await this.#attempt(tenant, isListed, { roles: [], paths: last.paths, count: 0 }, asNew);
      if (last.findings.some((finding) => isBad(finding) && before.has(finding.path))) break;
      passed = true;
      // Other differences each time are those of a service under way; the last ones count if they do not end.
      if (attempts === maxAttempts) break;
    }
    return { ...last, passed: passed && !last.findings.some(isBad) };
  }

  async #attempt(
    tenant: CanaryTenant,
    isListed: boolean,
    wishes: SampleWishes,
    asNew: boolean,
  ): Promise<Attempt> {
    try {
      return await this.#compare(tenant, isListed, wishes, asNew);
    } catch (error) {
      if (!hasCode(error, 'UNAVAILABLE')) throw error;
      const finding = { result: 'unreachable', ours: (error as ServerError).message, theirs: '' } as const;
      return attemptOf(tenant, wishes.paths, [finding]);
    }
  }

  async #compare(
    tenant: CanaryTenant,
    isListed: boolean,
    wishes: SampleWishes,
    asNew: boolean,
  ): Promise<Attempt> {
    const { config, reader, state } = this.#options;
    const { slug } = tenant;
    const view = await ServedView.open(reader, slug);
    const kept = await this.#kept(tenant);
    if (view === undefined) {
      // What is not there and what is not granted look alike; but it was granted to whom it is listed.
      if (!isListed && kept === undefined) return attemptOf(tenant, wishes.paths, [], { why: 'private' });
      const finding = { result: 'refused', ours: 'refused: NOT_SERVED 1.root.json', theirs: '' } as const;
      return attemptOf(tenant, wishes.paths, [finding]);
    }
    const first = (await view.fetch('1.root.json', Number.MAX_SAFE_INTEGER)) as Uint8Array;
    const genesis = genesisOf(first);
    const expected = tenant.genesis ?? kept?.genesis;
    if (genesis !== undefined && expected !== undefined && genesis !== expected) {
      const ours = `refused: ROOT_REPLACED the first root is ${genesis}, and was ${expected}`;
      return attemptOf(tenant, wishes.paths, [{ result: 'refused', ours, theirs: '' }]);
    }
    // A first root that we cannot read is shown to both.
    const fromFirst = asNew || kept === undefined || genesis === undefined;
    const start: Start = fromFirst ? { root: first } : kept.floor;
    const follow = await view.settle(fromFirst ? 1 : kept.rootVersion);
    if (follow > stockRotations) return attemptOf(tenant, wishes.paths, [], { why: 'many-roots' });

    const ours = await readOurs(view, start, config.now);
    const refusal = typeof ours === 'string' ? ours : ours.refusal;
    const paths =
      typeof ours === 'string' || refusal !== undefined
        ? [...wishes.paths]
        : await samplePaths(view, ours.roles, wishes, config.random);
    const folder = await state.workFolder(start);
    try {
      const theirs = await readWithStock(view, folder, paths, config.checkBudgetMs, this.#options.signal);
      const whole = compareWhole(refusal, theirs, await tookTheSame(ours, folder, theirs));
      const findings: Finding[] = [whole];
      if (typeof ours !== 'string' && whole.result === 'agree') {
        for (const path of paths)
          findings.push(comparePath(path, await ours.answer(path), theirs.answers.get(path)));
        // From the first root nothing is known that was not known before.
        if (ours.floor !== undefined && (!fromFirst || kept === undefined))
          await state.save(slug, ours.floor);
      }
      const issued = typeof ours === 'string' ? undefined : ours.issued;
      const skipped = theirs.end === 'done' ? undefined : skipOf(theirs, theirs.end);
      return {
        ...attemptOf(tenant, paths, findings, skipped),
        timestampAgeMs: issued === undefined ? undefined : config.now() - issued,
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** What was kept, where it can be used and belongs to the genesis that is pinned. */
  async #kept({
    slug,
    genesis: pinned,
  }: CanaryTenant): Promise<{ floor: Floor; genesis: Digest | undefined; rootVersion: number } | undefined> {
    const floor = await this.#options.state.load(slug);
    if (floor === undefined) return undefined;
    try {
      const { genesis, version } = parseRoot(floor.root);
      if (pinned !== undefined && genesis !== pinned) return undefined;
      return { floor, genesis, rootVersion: version };
    } catch (error) {
      if (error instanceof MetadataError) return undefined;
      throw error;
    }
  }
}

function attemptOf(
  { slug }: CanaryTenant,
  paths: readonly string[],
  findings: readonly Finding[],
  skipped?: SkipReason,
): Attempt {
  // Nothing was compared: that is a skipped check of the tenant as a whole.
  const whole: Finding = { result: 'skipped', ours: skipped?.why ?? '', theirs: '' };
  const all = findings.length === 0 ? [whole] : findings;
  return { slug, findings: all, skipped, timestampAgeMs: undefined, paths };
}

function genesisOf(root: Uint8Array): Digest | undefined {
  try {
    return parseRoot(root).genesis;
  } catch (error) {
    if (error instanceof MetadataError) return undefined;
    throw error;
  }
}

/** A refusal where we do not even take the start. */
async function readOurs(view: ServedView, start: Start, now: () => number): Promise<OurReader | string> {
  try {
    return await OurReader.refresh(view, start, now);
  } catch (error) {
    if (error instanceof MetadataError) return `${error.code}/${error.reason} ${error.message}`;
    throw error;
  }
}

function compareWhole(refusal: string | undefined, { refresh }: StockReading, sameFiles: boolean): Finding {
  const ours = refusal === undefined ? 'accepted' : `refused: ${refusal}`;
  if (refresh === undefined) return { result: 'skipped', ours, theirs: 'no answer in its time' };
  const theirs = refresh.refusal === undefined ? 'accepted' : `refused: ${refresh.refusal}`;
  if (refusal !== undefined && refresh.refusal !== undefined) return { result: 'refused', ours, theirs };
  if ((refusal === undefined) !== (refresh.refusal === undefined))
    return { result: 'disagree', ours, theirs };
  if (sameFiles) return { result: 'agree', ours, theirs };
  return { result: 'disagree', ours, theirs: 'accepted another root, timestamp or snapshot' };
}

/** Whether its metadata folder holds the root, timestamp and snapshot that we took. */
async function tookTheSame(
  ours: OurReader | string,
  folder: string,
  { refresh }: StockReading,
): Promise<boolean> {
  const mine = typeof ours === 'string' ? undefined : ours.floor;
  if (mine === undefined || refresh === undefined || refresh.refusal !== undefined) return false;
  const theirs = await readFloor(folder);
  return (
    theirs !== undefined &&
    (['root', 'timestamp', 'snapshot'] as const).every((name) => Buffer.from(mine[name]).equals(theirs[name]))
  );
}

function skipOf({ lastFile, pid }: StockReading, why: 'out-of-time' | 'died'): SkipReason {
  return { why, file: lastFile?.name, bytes: lastFile?.bytes, pid };
}
