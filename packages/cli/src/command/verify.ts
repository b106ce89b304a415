import type { Command } from 'commander';
import {
  crossCheck,
  verify,
  verifyBelow,
  type Agreement,
  type Policy,
  type Question,
  type Refused,
  type Verdict,
} from '@mandate/client';
import { parseRepository, type FailureCode } from '@mandate/metadata';
import type { OciError, OciErrorCode } from '@mandate/oci';
import {
  contentOfFile,
  contentOfImage,
  formatArtifact,
  parseArtifact,
  type ArtifactName,
  type Content,
} from '../artifact.ts';
import type { Context } from '../context.ts';
import { formatDuration, parseDuration } from '../duration.ts';
import { CliError, usage } from '../error.ts';
import { nextStep } from '../failure.ts';
import { shortKeyId } from '../key-id.ts';
import { chainLines, chainOf } from '../lineage-text.ts';
import { addRegistryOptions, type RegistryOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { paint } from '../terminal.ts';
import { openTenant, trustedTenant } from '../trust.ts';

interface Options extends RegistryOptions {
  readonly tenant?: string;
  readonly name?: string;
  readonly maxAge?: string;
  readonly minThreshold?: string;
  readonly managed?: boolean;
  readonly offline?: boolean;
  readonly crossCheck?: boolean;
  readonly pinned?: boolean;
  readonly requireRegistry?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('verify')
    .description('Check that a trusted tenant vouches for an image, a file or a digest')
    .argument('<what>', 'image reference by tag or digest, or with --name a file or sha256:<hex>')
    .option('--tenant <tenant>', 'the tenant, where no trusted prefix says it')
    .option('--name <name>', 'what a file or digest is called in the tenant: tools/cli:1.2.tgz')
    .option('--max-age <time>', 'refuse where the newest timestamp is older than this: 1h')
    .option('--min-threshold <count>', 'refuse where fewer distinct keys signed')
    .option('--no-managed', 'count no signatures by keys that the service holds')
    .option('--pinned', 'refuse where the root of the tenant that vouches was found through an anchor')
    .option(
      '--require-registry',
      'refuse where the registry tenant does not lead to the same tenant and answer',
    )
    .option('--offline', 'answer from what was verified before, without the network')
    .option('--cross-check', 'ask the stock tuf-js client as well, and refuse where it disagrees');
  addRegistryOptions(command)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate verify localhost:5000/acme/app:v1\n  $ mandate verify --tenant acme --name tools/cli:1.2.tgz ./cli.tgz\n\nExit code 0: verified. 1: refused, with the code of the reason. 2: not understood.\n',
    )
    .action(action(verifyCommand));
}

/** What a registry's failure means for somebody who asks whether an image may be used. */
const verdictOfRegistry = {
  INVALID_REFERENCE: undefined,
  UNSUPPORTED_DIGEST: undefined,
  UNSUPPORTED_MEDIA_TYPE: undefined,
  NOT_FOUND: undefined,
  UNAUTHORIZED: 'FORBIDDEN',
  FORBIDDEN: 'FORBIDDEN',
  CREDENTIALS_FAILED: 'FORBIDDEN',
  UNREACHABLE: 'UNREACHABLE',
  TIMEOUT: 'UNREACHABLE',
  ABORTED: 'UNREACHABLE',
  RATE_LIMITED: 'UNREACHABLE',
  REFUSED: 'UNREACHABLE',
  DIGEST_MISMATCH: 'DIGEST_MISMATCH',
  SIZE_MISMATCH: 'DIGEST_MISMATCH',
  TOO_LARGE: 'LIMIT_EXCEEDED',
  MALFORMED: 'MALFORMED',
  INSECURE: 'UNREACHABLE',
  REDIRECT_REFUSED: 'UNREACHABLE',
} satisfies Record<OciErrorCode, FailureCode | undefined>;

/** By its name: the package is loaded only where a registry is asked. */
function isOciError(error: unknown): error is OciError {
  return error instanceof Error && error.name === 'OciError';
}

/** A refusal that came before anything could be asked of the tenant. */
function early(error: unknown): Pick<Refused, 'code' | 'message' | 'hint'> | undefined {
  if (error instanceof CliError && error.code === 'NO_TENANT')
    return { code: 'NO_TRUST_ROOT', message: error.message, hint: error.next ?? nextStep('NO_TRUST_ROOT') };
  if (!isOciError(error)) return undefined;
  const code: FailureCode | undefined = verdictOfRegistry[error.code];
  return code === undefined ? undefined : { code, message: error.message, hint: nextStep(code) };
}

async function verifyCommand(context: Context, what: string, options: Options): Promise<Outcome> {
  try {
    const name = await parseArtifact(context, what, { ...options, throughAnchors: true });
    return await judge(context, name, await contentOf(context, name, options), options);
  } catch (error) {
    const refused = early(error);
    if (refused === undefined) throw error;
    return refusedOutcome(refused, { what });
  }
}

/**
 * What is about to be used: a file as it is here, what the registry has under a tag, or what a digest says by itself.
 * Undefined where only a tag is known: offline, nobody says what it points to.
 */
async function contentOf(
  context: Context,
  { image, file, digest }: ArtifactName,
  { insecureRegistry, offline }: Options,
): Promise<Content | undefined> {
  if (file !== undefined) {
    const found = await contentOfFile(file);
    if (digest !== undefined && digest !== found.digest)
      throw usage(`${file} has the digest ${found.digest}, not the one in its name`);
    return found;
  }
  if (digest !== undefined) return { digest, size: undefined, mediaType: undefined };
  if (image === undefined || offline === true) return undefined;
  return context.terminal.progress('asking the registry', () =>
    contentOfImage(context, image, insecureRegistry),
  );
}

function policyOf({ maxAge, minThreshold, managed, offline, pinned }: Options): Policy {
  if (minThreshold !== undefined && !/^[1-9][0-9]{0,2}$/.test(minThreshold))
    throw usage('--min-threshold is a count of keys');
  return {
    ...(maxAge === undefined ? {} : { maxAgeMs: parseDuration(maxAge) }),
    ...(minThreshold === undefined ? {} : { minThreshold: Number(minThreshold) }),
    ...(managed === false ? { managed: 'refuse' as const } : {}),
    ...(offline === true ? { offline: 'always' as const } : {}),
    ...(pinned === true ? { rootFrom: 'pinned' as const } : {}),
  };
}

async function judge(
  context: Context,
  name: ArtifactName,
  content: Content | undefined,
  options: Options,
): Promise<Outcome> {
  const reference = name.tag ?? name.digest ?? content?.digest;
  if (reference === undefined) throw usage('a tag or a digest is needed');
  const question: Question = {
    tenant: (await openTenant(context, name.trusted)).updater,
    repository: name.repository,
    reference,
    ...(content === undefined ? {} : { presented: content }),
  };
  const { verdict, above } = await context.terminal.progress('verifying', () =>
    ask(context, question, name, options),
  );
  const about = { tenant: name.trusted.tenant, repository: name.repository, reference, ...content };
  const outcome =
    verdict.code === 'VERIFIED'
      ? verifiedOutcome(verdict, name, about, content !== undefined, above)
      : refusedOutcome(verdict, about);
  return options.crossCheck === true ? withCrossCheck(context, question, verdict, outcome) : outcome;
}

/** One way, or as many as the person or the trust configuration asks to agree. */
async function ask(
  context: Context,
  question: Question,
  { trusted }: ArtifactName,
  options: Options,
): Promise<Agreement> {
  const policy = policyOf(options);
  const wanted = [trusted.above, options.requireRegistry === true ? '/' : undefined];
  let agreed: Agreement | undefined;
  for (const above of new Set(wanted)) {
    if (above === undefined || above === trusted.tenant) continue;
    const { updater } = await openTenant(context, await trustedTenant(context, above));
    const path = above === '/' ? trusted.tenant : trusted.tenant.slice(above.length + 1);
    agreed = await verifyBelow(question, { tenant: updater, path }, policy, context.now());
    if (agreed.verdict.code !== 'VERIFIED') return agreed;
  }
  return agreed ?? { verdict: await verify(question, policy, context.now()) };
}

/** What the stock tuf-js client says of the same name; where the two differ, neither is believed. */
async function withCrossCheck(
  context: Context,
  question: Question,
  verdict: Verdict,
  outcome: Outcome,
): Promise<Outcome> {
  const check = await context.terminal.progress('asking tuf-js', () =>
    crossCheck(question, verdict, context.now()),
  );
  const json = { ...(outcome.json as object), crossCheck: check };
  const theirs = check.theirs?.digest ?? check.error ?? 'nothing';
  if (check.agrees) return { ...outcome, text: `${outcome.text}\n  tuf-js  agrees: ${theirs}`, json };
  return {
    ok: false,
    text: `${paint('red', 'REFUSED')} NOT_AGREED: this client says ${verdict.code}, tuf-js finds ${theirs}`,
    json: { ...json, code: 'NOT_AGREED', verdict: verdict.code },
    hints: ['one of the two clients has a fault; report it with the metadata of this tenant'],
  };
}

function refusedOutcome(
  refused: Pick<Refused, 'code' | 'message' | 'hint' | 'evidence'>,
  about: object,
): Outcome {
  const { code, message, hint, evidence } = refused;
  return {
    ok: false,
    text: [`${paint('red', 'REFUSED')} ${code}: ${message}`, ...chainLines(evidence)].join('\n'),
    json: { ...refused, ...about, ...(evidence === undefined ? {} : { chain: chainOf(evidence) }) },
    hints: [hint],
  };
}

function verifiedOutcome(
  verdict: Extract<Verdict, { code: 'VERIFIED' }>,
  name: ArtifactName,
  about: object,
  compared: boolean,
  above: Verdict | undefined,
): Outcome {
  const { evidence } = verdict;
  const tenant = evidence.tenant ?? name.trusted.tenant;
  // The path of the statement is the name inside the tenant that vouches.
  const inside = parseRepository(
    evidence.statement?.path.split('/').slice(0, -1).join('/') ?? name.repository,
  );
  const role = evidence.links.at(-1);
  const signers =
    role?.signed
      .map(
        ({ keyId, managed }) => `${shortKeyId(keyId)}${managed === true ? ', managed by the service' : ''}`,
      )
      .join('; ') ?? '';
  const lines = [
    `${paint('green', 'VERIFIED')} ${formatArtifact({ ...name, repository: inside })} in tenant ${tenant}`,
    ...chainLines(evidence),
    ...chainLines(above?.evidence, 'agreed'),
    `  digest  ${evidence.statement?.digest ?? ''}`,
    `  role    ${role?.role ?? ''}, signed by ${role?.signed.length ?? 0} of ${role?.threshold ?? 0} needed keys (${signers})`,
    `  fresh   timestamp ${formatDuration(evidence.ageMs ?? 0)} old, role good until ${role?.expires ?? ''}`,
    `  root    ${evidence.genesis ?? ''} (${evidence.rootFrom})`,
  ];
  const digest = evidence.statement?.digest;
  return {
    text: lines.join('\n'),
    json: {
      ...verdict,
      ...about,
      chain: chainOf(evidence),
      ...(above?.evidence === undefined ? {} : { above: chainOf(above.evidence) }),
    },
    hints: compared ? [] : [`no registry was asked; pull it by its digest: ${digest ?? ''}`],
  };
}
