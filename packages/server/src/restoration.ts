/**
 * The way back of a database that was restored from a backup: every tenant is read-only until files that somebody kept
 * have brought it forward, or its operator gives up what is lost (docs/restore.md). A restored tenant is signed for by
 * nobody: an old snapshot under a new timestamp would be a rollback with our signature.
 */
import { randomUUID } from 'node:crypto';
import {
  apiLimits,
  type KeptFile,
  type KeptFiles,
  type KeptFilesRequest,
  type Restore,
  type RestoredTenant,
  type RestoreRefusal,
} from '@mandate/api';
import {
  hexOf,
  MetadataError,
  parseRecoveryFile,
  parseRoot,
  parseSnapshot,
  parseTimestamp,
  Recovery,
  requireThreshold,
  segmentOfDetached,
  sha256Of,
  type RecoveryFile,
  type RecoveryPlan,
  type Root,
  type Taken,
} from '@mandate/metadata';
import { recordEvents } from './audit.ts';
import { hasCode, ServerError } from './error.ts';
import { Group } from './group.ts';
import { buildHead, type BuiltHead, type HeadSettings } from './head-builder.ts';
import type { OnlineSigners } from './online-key.ts';
import { describe, type Principal } from './principal.ts';
import type { RoleFiles } from './role-file.ts';
import { deploymentId, transaction, type Database } from './sql/connection.ts';
import { readRoleFile, readSnapshot } from './sql/metadata-file.ts';
import { insertHead, insertRare, type NewTarget } from './sql/publication.ts';
import {
  anchoringKeys,
  keptAnchors,
  openAnchors,
  takeKeptAnchor,
  type AnchoringKeys,
} from './restored-anchor.ts';
import * as sql from './sql/restore.ts';
import { parseTargetFiles } from './submission.ts';
import type { Tenant } from './tenant.ts';
import type { Caller } from './caller.ts';

export interface RestorationContext {
  readonly database: Database;
  readonly files: RoleFiles;
  readonly settings: HeadSettings;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Every tenant is read-only from now on: what is in memory says otherwise. */
  readonly onBegin: () => void;
  readonly onOpen: (tenant: Tenant, built: BuiltHead) => void;
}

/** A tenant's way back as far as it goes, with what was sent. */
interface Way {
  readonly recovery: Recovery;
  readonly plan: RecoveryPlan;
  readonly wantedTargets: readonly { path: string; sha256: string }[];
  readonly missingTargets: readonly { path: string; sha256: string }[];
  readonly onlineKeysHeld: boolean;
}

/** What comes first has to be known before the next can be judged. */
const order: Readonly<Record<string, number>> = { root: 0, timestamp: 1, snapshot: 2 };

export class Restoration {
  readonly #context: RestorationContext;

  constructor(context: RestorationContext) {
    this.#context = context;
  }

  /** Makes every tenant read-only. @returns false where a restore of this label was begun before */
  async begin(label: string, who: Principal, why: string): Promise<boolean> {
    const { database, now, onBegin } = this.#context;
    const begun = await transaction(database, async (session) => {
      if (!(await sql.insertRestore(session, label, now()))) return false;
      const event = { action: 'restore-begin', who, restore: label, why };
      await recordEvents(session.of(deploymentId), [event], now());
      return true;
    });
    if (begun) onBegin();
    return begun;
  }

  /** Allows new tenants and tokens again. */
  async end(who: Principal): Promise<void> {
    const { database, now } = this.#context;
    await transaction(database, async (session) => {
      await sql.endRestores(session, now());
      const readOnly = await sql.countRestoring(session);
      await recordEvents(session.of(deploymentId), [{ action: 'restore-end', who, readOnly }], now());
    });
  }

  async list(after: string): Promise<Restore> {
    const { database } = this.#context;
    const row = await sql.readRestore(database);
    const found = await sql.listRestoring(database, after, apiLimits.restorePage + 1);
    return {
      ...(row === undefined ? {} : { label: row.label, begun: iso(row.begunMs) }),
      ...(row?.endedMs === undefined || row.endedMs === null ? {} : { ended: iso(row.endedMs) }),
      tenants: found.slice(0, apiLimits.restorePage).map(({ slug, path, genesis }) => ({
        slug,
        path,
        ...(genesis === null ? {} : { genesis }),
      })),
      more: found.length > apiLimits.restorePage,
    };
  }

  /** @throws ServerError CONFLICT for a tenant that is not read-only. */
  async take(tenant: Tenant, request: KeptFilesRequest): Promise<KeptFiles> {
    const { database } = this.#context;
    if (!(await sql.isRestoring(database.of(tenant.id))))
      throw new ServerError('CONFLICT', `tenant ${tenant.path} is not read-only; nothing is to be restored`);
    const targets = parseTargetFiles(request.targets);
    const recovery = await this.#recovery(tenant);
    if (recovery === undefined)
      throw new ServerError(
        'CONFLICT',
        `tenant ${tenant.path} has no root yet; open it with acceptLoss, and have its owner publish again`,
      );
    // Anchors are judged by keys that a `targets` beside them may bring.
    const rank = ({ role }: { role: string }): number =>
      order[role] ?? (segmentOfDetached(role) === undefined ? 3 : 4);
    const sorted = request.files.toSorted((a, b) => rank(a) - rank(b));
    const answers: KeptFile[] = [];
    let anchoring: AnchoringKeys | undefined;
    for (const { role, metadata } of sorted) {
      const bytes = Buffer.from(metadata);
      let version: number | undefined;
      try {
        const parsed = parseRecoveryFile(role, bytes);
        ({ version } = parsed.file);
        const segment = segmentOfDetached(role);
        let outcome: Taken;
        if (segment === undefined) {
          outcome = await this.#judge(tenant, recovery, role, parsed);
          // Each by itself, so that what was sent before an interruption counts.
          if (outcome === 'taken') {
            const sha256 = hexOf(sha256Of(bytes));
            await sql.insertKept(database.of(tenant.id), [{ role, version, bytes, sha256 }]);
          }
        } else {
          anchoring ??= await this.#anchoring(tenant);
          outcome = await takeKeptAnchor(database, tenant, anchoring, segment, bytes);
        }
        answers.push({ role, version, outcome });
      } catch (error) {
        if (!(error instanceof MetadataError)) throw error;
        const known = version === undefined ? {} : { version };
        answers.push({ role, ...known, outcome: 'refused', refusal: refusalOf(error) });
      }
    }
    await sql.insertKeptTargets(database.of(tenant.id), targets);
    return { files: answers, tenant: await this.state(tenant) };
  }

  async #judge(tenant: Tenant, recovery: Recovery, role: string, parsed: RecoveryFile): Promise<Taken> {
    if (parsed.kind === 'root') {
      const { version } = parsed.file;
      const isStored = version <= (tenant.head?.row.rootVersion ?? 0);
      const stored = isStored ? await this.#context.files.root(tenant.id, version) : undefined;
      return recovery.takeRoot(parsed.file, stored);
    }
    if (parsed.kind === 'timestamp') {
      const stored = parseTimestamp(tenant.head?.row.timestampBytes ?? Buffer.alloc(0));
      return recovery.takeTimestamp(parsed.file, stored, this.#context.now());
    }
    return parsed.kind === 'snapshot'
      ? recovery.takeSnapshot(parsed.file)
      : recovery.takeRole(role, parsed.file);
  }

  /** What is stored, and the roots, timestamps and snapshots that were sent; undefined before the first publication. */
  async #recovery(tenant: Tenant): Promise<Recovery | undefined> {
    const { database, files, now } = this.#context;
    await tenant.catchUp();
    const { head } = tenant;
    if (head === undefined) return undefined;
    const { row } = head;
    const snapshot = await readSnapshot(database.of(tenant.id), row.snapshotVersion);
    const roles = new Map([...head.roles].filter(([name]) => name !== 'root'));
    const recovery = new Recovery({
      root: await files.root(tenant.id, row.rootVersion),
      timestampVersion: row.timestampVersion,
      snapshotVersion: row.snapshotVersion,
      snapshotSha256: snapshot?.sha256.toString('hex') ?? '',
      roles,
      delegatorOf: (role) => head.delegatorOf(role),
    });
    const kept = await sql.readKeptTop(database.of(tenant.id));
    const stored = parseTimestamp(row.timestampBytes);
    for (const { bytes } of kept.filter(({ role }) => role === 'root'))
      recovery.takeRoot(parseRoot(bytes), undefined);
    for (const { bytes } of kept.filter(({ role }) => role === 'timestamp'))
      recovery.takeTimestamp(parseTimestamp(bytes), stored, now());
    for (const { bytes } of kept.filter(({ role }) => role === 'snapshot'))
      recovery.takeSnapshot(parseSnapshot(bytes));
    return recovery;
  }

  async #way(tenant: Tenant): Promise<Way | undefined> {
    const { database } = this.#context;
    const recovery = await this.#recovery(tenant);
    if (recovery === undefined) return undefined;
    const plan = await recovery.plan(async (role, version, sha256) => {
      const kept = await sql.readKeptRole(database.of(tenant.id), role, version, sha256);
      if (kept !== undefined || sha256 === undefined) return kept;
      const stored = await readRoleFile(database.of(tenant.id), role, version);
      return stored !== undefined && hexOf(sha256Of(stored)) === sha256 ? stored : undefined;
    });
    // Of all that roles list, the service keeps these: roots of child tenants, and policies.
    const wantedTargets = plan.roles.flatMap(({ file }) =>
      [...file.targets].flatMap(([path, { hashes }]) =>
        /^~(?:tenants|policy)\//.test(path) ? [{ path, sha256: hashes.sha256 ?? '' }] : [],
      ),
    );
    const missingTargets = await sql.missingTargetsOf(database.of(tenant.id), wantedTargets);
    const signers = await tenant.signers(plan.root);
    const onlineKeysHeld = holdsKeys(signers, plan.root);
    return { recovery, plan, wantedTargets, missingTargets, onlineKeysHeld };
  }

  /** By the newest `targets` that was sent, and by the stored one. */
  async #anchoring(tenant: Tenant): Promise<AnchoringKeys> {
    const { head } = tenant;
    const way = await this.#way(tenant);
    const sent = way?.plan.roles.find(({ name }) => name === 'targets')?.file;
    const stored =
      head && (await this.#context.files.targets(tenant.id, 'targets', head.versionOf('targets')));
    const files = [sent, stored].filter((file) => file !== undefined);
    return anchoringKeys(way?.plan.root.genesis, files);
  }

  async state(tenant: Tenant): Promise<RestoredTenant> {
    const readOnly = await sql.isRestoring(this.#context.database.of(tenant.id));
    return stateOf(tenant, readOnly, readOnly ? await this.#way(tenant) : undefined);
  }

  /**
   * Puts what was sent live, with a snapshot and a timestamp above everything seen, and opens the tenant.
   *
   * @throws ServerError READ_ONLY where nothing newer was sent or some of it is missing, unless that loss is accepted;
   * CONFLICT where somebody else was first; THRESHOLD_NOT_MET where the newest root names keys that are not here.
   */
  async open(tenant: Tenant, caller: Caller, acceptLoss: boolean): Promise<RestoredTenant> {
    const { database, now } = this.#context;
    if (!(await sql.isRestoring(database.of(tenant.id)))) return this.state(tenant);
    const way = await this.#way(tenant);
    const state = stateOf(tenant, true, way);
    if (!acceptLoss) requireReady(state);
    const built = way && (await this.#build(tenant, way, describe(caller), state.ready));
    const lost = state.ready ? {} : { lossAccepted: true, missing: state.missing, alarms: state.alarms };
    const detail = {
      who: describe(caller),
      ...(state.newest === undefined ? {} : { newest: state.newest }),
      recovered: state.ready ? state.recovered.length : 0,
      ...lost,
    };
    await transaction(database, async (session) => {
      const serial = tenant.head?.row.serial ?? 0;
      const anchors = await keptAnchors(session.of(tenant.id));
      if (!(await sql.reopenTenant(session.of(tenant.id), serial, built !== undefined)))
        throw new ServerError('CONFLICT', `tenant ${tenant.path} changed meanwhile; try again`);
      if (built !== undefined) {
        await insertHead(session.of(tenant.id), built.next);
        await insertRare(session.of(tenant.id), built.next);
      }
      await sql.endFinishedRestores(session, now());
      const event = { action: 'restore-open', ...detail };
      await recordEvents(session.of(deploymentId), [{ ...event, tenant: tenant.path }], now());
      await recordEvents(session.of(tenant.id), [event], now());
      await openAnchors(session, tenant, anchors, describe(caller), now());
    });
    if (built !== undefined) {
      await tenant.reload();
      this.#context.onOpen(tenant, built);
    }
    return this.state(tenant);
  }

  async #build(tenant: Tenant, way: Way, who: Principal, whole: boolean): Promise<BuiltHead> {
    const { database, files, settings, now } = this.#context;
    const { recovery, plan } = way;
    const { head } = tenant;
    const roles = whole ? plan.roles : [];
    const current = head && (await files.targets(tenant.id, 'targets', head.versionOf('targets')));
    const targetsFile = roles.find(({ name }) => name === 'targets')?.file ?? current;
    if (targetsFile !== undefined) requireThreshold(targetsFile.envelope, plan.root.roles.targets, 'targets');
    const targets: NewTarget[] = whole
      ? await sql.readKeptTargets(database.of(tenant.id), way.wantedTargets)
      : [];
    const group = new Group(head);
    const id = randomUUID();
    group.add({
      id,
      digest: Buffer.from(hexOf(sha256Of(id)), 'hex'),
      who,
      restored: true,
      files: [],
      targets,
      accepted: {
        roots: plan.roots,
        root: plan.root,
        roles: roles.map((role) => ({ ...role, delegator: plan.delegators.get(role.name) ?? '' })),
        removed: [],
        requirements: [],
        reliedOn: new Map(),
      },
      deadline: 0,
      resolve: () => undefined,
      reject: () => undefined,
    });
    group.delegators.clear();
    if (whole)
      for (const [role, delegator] of plan.delegators)
        if (head?.delegatorOf(role) !== delegator) group.delegators.set(role, delegator);
    return buildHead(tenant, group, plan.root, undefined, settings, files, now(), recovery.seen);
  }
}

function holdsKeys(signers: OnlineSigners, root: Root): boolean {
  try {
    signers.for(root, 'snapshot');
    signers.for(root, 'timestamp');
    return true;
  } catch (error) {
    if (hasCode(error, 'THRESHOLD_NOT_MET')) return false;
    throw error;
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function refusalOf({ code, reason, role, message }: MetadataError): RestoreRefusal {
  return { code, reason, ...(role === undefined ? {} : { role }), detail: message };
}

function stateOf(tenant: Tenant, readOnly: boolean, way: Way | undefined): RestoredTenant {
  const { path, slug, head } = tenant;
  const row = head?.row;
  const { plan } = way ?? {};
  const newest = plan?.newest;
  const missing = (plan?.missing ?? []).map(({ role, version, sha256 }) => ({
    role,
    version,
    ...(sha256 === undefined ? {} : { sha256 }),
  }));
  const alarms = (plan?.alarms ?? []).map(refusalOf);
  const missingTargets = way?.missingTargets ?? [];
  const onlineKeysHeld = way?.onlineKeysHeld ?? true;
  const isWhole = missing.length + alarms.length + missingTargets.length === 0;
  return {
    path,
    slug,
    ...(plan?.root.genesis === undefined ? {} : { genesis: plan.root.genesis }),
    readOnly,
    ...(row === undefined
      ? {}
      : {
          stored: {
            rootVersion: row.rootVersion,
            snapshotVersion: row.snapshotVersion,
            timestampVersion: row.timestampVersion,
          },
          rootVersion: plan?.root.version ?? row.rootVersion,
        }),
    ...(newest === undefined
      ? {}
      : {
          newest: {
            snapshotVersion: newest.snapshot.version,
            timestampVersion: newest.version,
            ...(newest.issued === undefined ? {} : { issued: iso(newest.issued) }),
          },
        }),
    recovered: (plan?.roles ?? []).map(({ name, version }) => ({
      role: name,
      from: head?.versionOf(name) ?? 0,
      to: version,
    })),
    missing,
    missingTargets,
    alarms,
    onlineKeysHeld,
    ready: readOnly && newest !== undefined && isWhole && onlineKeysHeld,
  };
}

/** @throws ServerError READ_ONLY */
function requireReady(state: RestoredTenant): void {
  if (state.ready) return;
  const { path, alarms, missing, missingTargets, onlineKeysHeld, newest } = state;
  const why =
    alarms.length > 0
      ? `what was sent contradicts itself: ${alarms[0]?.detail}`
      : newest === undefined
        ? 'nobody has sent a timestamp newer than the restored one'
        : missing.length + missingTargets.length > 0
          ? `${missing.length + missingTargets.length} files are missing, first ${missing[0]?.role ?? missingTargets[0]?.path}`
          : onlineKeysHeld
            ? 'it is not ready'
            : 'its newest root names online keys that were made after the backup; its owner signs a root with the present ones';
  throw new ServerError('READ_ONLY', `tenant ${path} stays read-only: ${why}`);
}
