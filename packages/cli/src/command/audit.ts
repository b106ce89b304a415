import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import {
  auditChains,
  parseCheckpointText,
  serviceLog,
  type AuditChain,
  type CheckpointEnvelope,
} from '@mandate/api';
import type { TrustedTenant } from '@mandate/client';
import {
  keyIdOf,
  parsePublicKey,
  tenantSlug,
  type Digest,
  type JsonValue,
  type KeyId,
  type PublicKey,
  type TrustedMetadata,
} from '@mandate/metadata';
import { ChainCheck } from '../audit/chain-check.ts';
import { compareAll, openAll, wantedOf, type Opened, type Shown } from '../audit/checkpoint-check.ts';
import type { Finding } from '../audit/finding.ts';
import { RoleCheck, type NotCovered } from '../audit/role-check.ts';
import { LogStore } from '../audit/store.ts';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import { loginFor } from '../login.ts';
import { collect } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { isPublicFile, loadPublicKey } from '../public-key.ts';
import { Service } from '../service.ts';
import { serviceFor } from '../signer/session.ts';
import { verifiedBase } from '../signer/verified-base.ts';
import { table } from '../table.ts';
import { paint } from '../terminal.ts';
import { openTenant, trustedTenant } from '../trust.ts';

interface ServiceOptions {
  readonly service?: string;
}

interface VerifyOptions extends ServiceOptions {
  readonly auditKey?: readonly string[];
  readonly checkpoint?: readonly string[];
  readonly save?: string;
}

export function register(program: Command, action: ActionWrapper): void {
  const audit = program.command('audit').description('The log of every write, and whether it is whole');
  audit.addHelpText('after', '\nExample:\n  $ mandate audit verify acme\n');
  audit
    .command('verify')
    .description(
      'Read the whole log, compute its chains, and compare them with signed checkpoints and metadata',
    )
    .argument('<tenant>', `the tenant, or ${serviceLog} for the log of the service itself`)
    .option('--checkpoint <file>', 'a checkpoint that somebody else saved; may be repeated', collect)
    .option(
      '--audit-key <key>',
      'key id or <file>.pub.json that signs checkpoints, beside the pinned ones',
      collect,
    )
    .option('--save <file>', 'write the newest checkpoint there, for others to compare')
    .option('--service <url>', 'the service (default: where the tenant is)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate audit verify acme --save acme.checkpoint.json\n\nExit code 0: whole. 1: something is wrong, record by record.\n',
    )
    .action(action(verify));
  audit
    .command('trust')
    .description('Pin the key that signs checkpoints; it must come from the operator by a safe way')
    .argument('<tenant>', `the tenant, or ${serviceLog}`)
    .argument('<key>', 'its key id, or its public record in <file>.pub.json')
    .option('--service <url>', `the service, for ${serviceLog}`)
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate audit trust acme 5f0c...\n')
    .action(action(trust));
  audit
    .command('keys')
    .description('The keys that the service says it signs checkpoints with: for its operator to hand out')
    .option('--service <url>', 'the service (default: the last login)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  $ mandate audit keys\n')
    .action(action(keys));
}

/** A log and the way to it. */
interface Log {
  /** As people call it. */
  readonly name: string;
  readonly slug: string;
  readonly store: LogStore;
  readonly service: Service;
  /** Undefined for the service's own. */
  readonly trusted: TrustedTenant | undefined;
}

async function logOf(context: Context, name: string, wanted: string | undefined): Promise<Log> {
  if (name === serviceLog) {
    const service = new Service(await loginFor(context, wanted));
    const store = new LogStore(context, serviceLog, service.url);
    return { name, slug: serviceLog, store, service, trusted: undefined };
  }
  const trusted = await trustedTenant(context, name);
  const { tenant, pin } = trusted;
  const slug = tenantSlug(tenant);
  const store = new LogStore(context, slug, JSON.stringify(pin));
  return { name: tenant, slug, store, service: await serviceFor(context, trusted, wanted), trusted };
}

/** @throws CliError USAGE, FILE */
async function keyIdFrom(text: string): Promise<KeyId> {
  if (isPublicFile(text)) return keyIdOf(await loadPublicKey(text));
  if (/^[0-9a-f]{64}$/.test(text)) return text as KeyId;
  throw usage(`"${text}" is not a key id of 64 hex digits, nor a file <name>.pub.json`);
}

async function trust(context: Context, name: string, key: string, options: ServiceOptions): Promise<Outcome> {
  const keyId = await keyIdFrom(key);
  const { name: tenant, store } = await logOf(context, name, options.service);
  const known = await store.load();
  await store.save({ ...known, keys: [...new Set([...known.keys, keyId])] });
  return {
    text: `checkpoints of ${tenant} are to be signed by ${keyId}`,
    json: { tenant, keyId },
    hints: [`mandate audit verify ${tenant}`],
  };
}

async function keys(context: Context, options: ServiceOptions): Promise<Outcome> {
  const service = new Service(await loginFor(context, options.service));
  const { keys } = await service.auditKeys();
  return {
    text: table(
      ['key', 'signs'],
      keys.map(({ keyId }, i) => [keyId, i === 0 ? 'now' : 'before']),
    ),
    json: { keys },
  };
}

/** The served keys whose ids are pinned: an id is the hash of its key. */
async function pinnedKeys(
  service: Service,
  pinned: readonly KeyId[],
): Promise<ReadonlyMap<KeyId, PublicKey>> {
  const { keys } = await service.auditKeys();
  const found = new Map<KeyId, PublicKey>();
  for (const { key } of keys) {
    const publicKey = parsePublicKey(key as JsonValue);
    const keyId = keyIdOf(publicKey);
    if (pinned.includes(keyId)) found.set(keyId, publicKey);
  }
  return found;
}

async function checkpointFile(path: string): Promise<Shown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CliError('FILE', `${path} cannot be read`, { cause });
  });
  const envelope = parseCheckpointText(text);
  if (envelope !== undefined) return { envelope, from: path };
  throw new CliError('FILE', `${path} is no checkpoint`, {
    next: 'its holder makes it: mandate audit verify <tenant> --save <file>',
  });
}

/** Everything that the log is held against, and what was found. */
interface Checked {
  readonly chains: Readonly<Record<AuditChain, ChainCheck>>;
  readonly newest: Opened | undefined;
  readonly compared: number;
  readonly findings: readonly Finding[];
  readonly notCovered: readonly NotCovered[];
}

async function check(
  { service, slug }: Log,
  keys: ReadonlyMap<KeyId, PublicKey>,
  known: readonly Shown[],
  verified: { trusted: TrustedMetadata; genesis: Digest } | undefined,
): Promise<Checked> {
  // Before the records: they reach at least as far.
  const { checkpoints } = await service.checkpoints(slug);
  const served = checkpoints.map((envelope): Shown => ({ envelope, from: 'served' }));
  const { opened, findings } = openAll([...known, ...served], keys, {
    tenant: slug,
    genesis: verified?.genesis,
  });
  const roles = verified && new RoleCheck(verified.trusted);
  const chains = {
    publications: new ChainCheck('publications', wantedOf(opened, 'publications')),
    administration: new ChainCheck('administration', wantedOf(opened, 'administration')),
  };
  for (const chain of auditChains) {
    for (let after = 0; ;) {
      const { entries, last, next } = await service.auditRecords(slug, chain, after);
      for (const entry of entries) {
        chains[chain].add(entry);
        if (chain === 'publications') roles?.add(entry.seq, entry.record);
      }
      if (next === undefined || next <= after) {
        findings.push(...chains[chain].end(last));
        break;
      }
      after = next;
    }
  }
  findings.push(...compareAll(opened, chains), ...(roles?.end() ?? []));
  const newest = opened.find(({ from }) => from === 'served');
  return { chains, newest, compared: opened.length, findings, notCovered: roles?.notCovered() ?? [] };
}

async function verify(context: Context, name: string, options: VerifyOptions): Promise<Outcome> {
  const given = await Promise.all((options.auditKey ?? []).map(keyIdFrom));
  const files = await Promise.all((options.checkpoint ?? []).map(checkpointFile));
  const log = await logOf(context, name, options.service);
  const known = await log.store.load();
  const pinned = [...known.keys, ...given];
  if (pinned.length === 0)
    throw new CliError('NO_AUDIT_KEY', `no key is pinned for the checkpoints of ${log.name}`, {
      next: `ask the operator for its id, who sees it with "mandate audit keys", then: mandate audit trust ${log.name} <key id>`,
    });
  const { terminal } = context;
  const keys = await pinnedKeys(log.service, pinned);
  const { trusted } = log;
  const base =
    trusted &&
    (await terminal.progress(`verifying ${trusted.tenant}`, async () =>
      verifiedBase(await openTenant(context, trusted), context.now()),
    ));
  const saved = known.checkpoints.map((envelope): Shown => ({ envelope, from: 'saved here' }));
  const checked = await terminal.progress('reading the log', () =>
    check(log, keys, [...saved, ...files], base),
  );
  const { newest, findings } = checked;
  if (findings.length === 0 && newest !== undefined) {
    if (!known.checkpoints.some(({ payload }) => payload === newest.envelope.payload))
      await log.store.save({ ...known, checkpoints: [...known.checkpoints, newest.envelope] });
    if (options.save !== undefined) await saveFile(options.save, newest.envelope);
  }
  return outcomeOf(log.name, checked, files.length, options.save !== undefined);
}

async function saveFile(path: string, envelope: CheckpointEnvelope): Promise<void> {
  await writeFile(path, `${JSON.stringify(envelope)}\n`).catch((cause: unknown) => {
    throw new CliError('FILE', `${path} cannot be written`, { cause });
  });
}

const shownFindings = 20;

function notCoveredLine(roles: readonly NotCovered[]): string {
  const named = roles.slice(0, shownFindings).map(({ role, seq }) => `${role} (record ${seq})`);
  const more = roles.length > named.length ? `, and ${roles.length - named.length} more` : '';
  return `  not covered  the digests of ${named.join(', ')}${more}: records of that time have versions alone`;
}

function outcomeOf(tenant: string, checked: Checked, files: number, saving: boolean): Outcome {
  const { chains, newest, compared, findings, notCovered } = checked;
  const records = { publications: chains.publications.count, administration: chains.administration.count };
  const json = {
    tenant,
    whole: findings.length === 0,
    records,
    ...(newest === undefined ? {} : { checkpoint: newest.checkpoint }),
    compared,
    findings,
    notCovered,
  };
  if (findings.length > 0) {
    const lines = findings.slice(0, shownFindings).map(({ code, message }) => `  ${code}: ${message}`);
    if (findings.length > shownFindings) lines.push(`  and ${findings.length - shownFindings} more`);
    return {
      ok: false,
      text: [`${paint('red', 'NOT WHOLE')}: the audit log of ${tenant}`, ...lines].join('\n'),
      json,
      hints: ['keep what you saved, and ask the operator; compare with others: --checkpoint <file>'],
    };
  }
  const until = newest === undefined ? 'no checkpoint yet' : `newest checkpoint ${newest.checkpoint.time}`;
  return {
    text: [
      `${paint('green', 'WHOLE')}: the audit log of ${tenant}`,
      `  records      ${records.publications} of publications, ${records.administration} of administration`,
      `  checkpoints  ${compared} compared; ${until}`,
      ...(notCovered.length === 0 ? [] : [notCoveredLine(notCovered)]),
    ].join('\n'),
    json,
    hints: [
      ...(newest === undefined && saving
        ? ['there was no checkpoint to save yet; try again in a minute']
        : []),
      ...(files === 0 ? ['others see the same log if their checkpoints fit: --checkpoint <file>'] : []),
    ],
  };
}
