/** The difference as a person reads it before signing. */
import type { KeyId, KeySet, PublicKey, TargetFile } from '@mandate/metadata';
import { anchorLine } from './anchor-text.ts';
import type { Context } from './context.ts';
import { CliError } from './error.ts';
import { formatExpiry } from './duration.ts';
import { keyText, type Names } from './key-id.ts';
import type {
  ArtifactDifference,
  DelegationDifference,
  Difference,
  FileDifference,
  MemberDifference,
} from './signer/difference.ts';

/** More lines of one kind than this are counted instead. */
const shownLines = 200;

const signs = { added: '+', removed: '-', changed: '~', moved: '>' } as const;

/** Text that others wrote, without anything that a terminal would act on. */
export function plain(text: string): string {
  return text.replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

function shortDigest(target: TargetFile | undefined): string {
  return `sha256:${target?.hashes.sha256?.slice(0, 12) ?? '?'}`;
}

/** In full: it is what the signature is about. */
function described(target: TargetFile | undefined): string {
  const { mediaType, ...custom } = target?.custom ?? {};
  const said = Object.keys(custom).length === 0 ? '' : `, ${JSON.stringify(custom)}`;
  const type = typeof mediaType === 'string' ? `, ${mediaType}` : '';
  return plain(`sha256:${target?.hashes.sha256 ?? '?'}, ${target?.length ?? '?'} bytes${type}${said}`);
}

function artifactLine(difference: ArtifactDifference): string {
  const anchor = anchorLine(difference);
  if (anchor !== undefined) return plain(anchor);
  const { path, change, role, roleBefore, before, after } = difference;
  const target = {
    added: described(after),
    removed: described(before),
    changed: `${shortDigest(before)} -> ${described(after)}`,
    moved: `from role ${roleBefore ?? '?'}, ${shortDigest(before)} -> ${described(after)}`,
  }[change];
  return `  ${signs[change]} ${plain(path)}  ${target}  (role ${role})`;
}

function memberLine({ role, member, before, after }: MemberDifference): string {
  const shown = (value: MemberDifference['before']): string => JSON.stringify(value) ?? 'absent';
  return plain(`  ! ${role}, ${member}: ${shown(before)} -> ${shown(after)}`);
}

/** `1 of 2 keys: 3f0c... (release), 91ab...` */
export function keySetText({ keys, threshold }: KeySet, names: Names): string {
  const shown = [...keys].map(([keyId, key]) => keyText(keyId, key, names));
  return `${threshold} of ${keys.size} ${keys.size === 1 ? 'key' : 'keys'}: ${shown.join(', ')}`;
}

function delegationLine(
  { role, delegator, change, keySet, keySetBefore }: DelegationDifference,
  names: Names,
): string[] {
  const keys = keySetText(keySet, names);
  if (change === 'added') return [`  + ${delegator} delegates to ${role}, ${keys}`];
  if (change === 'removed') return [`  - ${delegator} no longer delegates to ${role}, ${keys}`];
  const [before, after] = [keySetBefore?.keys ?? new Map<KeyId, PublicKey>(), keySet.keys];
  const only = (these: KeySet['keys'], those: KeySet['keys']): string =>
    [...these].flatMap(([keyId, key]) => (those.has(keyId) ? [] : [keyText(keyId, key, names)])).join(', ');
  const [added, removed] = [only(after, before), only(before, after)];
  return [
    `  ~ ${role}: ${keySetBefore === undefined ? '' : keySetText(keySetBefore, names)} -> ${keys}`,
    ...(added === '' ? [] : [`      new key ${added}`]),
    ...(removed === '' ? [] : [`      without key ${removed}`]),
  ];
}

function limited(lines: readonly string[]): string[] {
  if (lines.length <= shownLines) return [...lines];
  return [...lines.slice(0, shownLines), `  ... and ${lines.length - shownLines} more`];
}

function fileText({ role, versionBefore, version }: FileDifference): string {
  return versionBefore === undefined ? `${role} ${version} (new)` : `${role} ${versionBefore} -> ${version}`;
}

/** The expiry of each file: one line where all share it. */
function expiryLines(files: readonly FileDifference[], now: number): string[] {
  const same = new Map<number, FileDifference[]>();
  for (const file of files) same.set(file.expires, [...(same.get(file.expires) ?? []), file]);
  return [...same].map(([expires, group]) => {
    const shown = group.slice(0, 12).map(fileText);
    if (group.length > 12) shown.push(`and ${group.length - 12} more`);
    const before = group.length === 1 ? group[0]?.expiresBefore : undefined;
    const was = before === undefined ? '' : `, before ${formatExpiry(before, now)}`;
    return `  files: ${shown.join(', ')}; good until ${formatExpiry(expires, now)}${was}`;
  });
}

export function differenceText(difference: Difference, names: Names, now: number): string {
  const { artifacts, delegations, members, files } = difference;
  return [
    ...members.map(memberLine),
    ...delegations.flatMap((one) => delegationLine(one, names)),
    ...limited(artifacts.map(artifactLine)),
    ...(artifacts.length + delegations.length + members.length === 0
      ? ['  nothing but versions and expiry']
      : []),
    ...expiryLines(files, now),
  ].join('\n');
}

/** The same for programs. */
export function differenceJson({ files, artifacts, delegations, members }: Difference): object {
  const keySet = (set: KeySet | undefined): object | undefined =>
    set === undefined ? undefined : { threshold: set.threshold, keys: [...set.keys.keys()] };
  const date = (ms: number | undefined): string | undefined =>
    ms === undefined ? undefined : new Date(ms).toISOString();
  return {
    files: files.map((file) => ({
      ...file,
      expires: date(file.expires),
      expiresBefore: date(file.expiresBefore),
    })),
    artifacts,
    delegations: delegations.map(({ keySet: after, keySetBefore, ...rest }) => ({
      ...rest,
      keys: keySet(after),
      keysBefore: keySet(keySetBefore),
    })),
    members,
  };
}

/** Shows what will be signed and asks, where somebody can be asked. @throws CliError NOT_CONFIRMED */
export async function approve(
  { terminal }: Context,
  text: string,
  { yes = false, json = false }: { yes?: boolean | undefined; json?: boolean | undefined },
  question = 'Sign and publish this?',
): Promise<void> {
  if (!json) terminal.note(text);
  if (yes || !terminal.interactive) return;
  if (await terminal.confirm(question)) return;
  throw new CliError('NOT_CONFIRMED', 'nothing was signed');
}
