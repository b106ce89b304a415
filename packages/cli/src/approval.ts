/** The difference as a person reads it before signing. */
import type { KeySet, TargetFile } from '@mandate/metadata';
import type { Context } from './context.ts';
import { CliError } from './error.ts';
import { formatExpiry } from './duration.ts';
import { shortKeyId } from './key-id.ts';
import type { ArtifactDifference, DelegationDifference, Difference } from './signer/difference.ts';

/** More lines of one kind than this are counted instead. */
const shownLines = 200;

const signs = { added: '+', removed: '-', changed: '~' } as const;

type Names = ReadonlyMap<string, string>;

function shortDigest(target: TargetFile | undefined): string {
  return `sha256:${target?.hashes.sha256?.slice(0, 12) ?? '?'}`;
}

function described(target: TargetFile | undefined): string {
  const mediaType = target?.custom?.['mediaType'];
  return `${shortDigest(target)}, ${target?.length ?? '?'} bytes${typeof mediaType === 'string' ? `, ${mediaType}` : ''}`;
}

function artifactLine({ path, change, role, before, after }: ArtifactDifference): string {
  const target = {
    added: described(after),
    removed: described(before),
    changed: `${described(before)} -> ${described(after)}`,
  }[change];
  return `  ${signs[change]} ${path}  ${target}  (role ${role})`;
}

/** `1 of 2 keys: 3f0c... (release), 91ab...` */
export function keySetText({ keys, threshold }: KeySet, names: Names): string {
  const shown = [...keys].map(([keyId, key]) => {
    const name = names.get(key.thumbprint);
    return name === undefined ? shortKeyId(keyId) : `${shortKeyId(keyId)} (${name})`;
  });
  return `${threshold} of ${keys.size} ${keys.size === 1 ? 'key' : 'keys'}: ${shown.join(', ')}`;
}

function delegationLine(
  { role, delegator, change, keySet, keySetBefore }: DelegationDifference,
  names: Names,
): string {
  const keys = keySetText(keySet, names);
  const keysBefore = keySetBefore === undefined ? '' : keySetText(keySetBefore, names);
  const what = {
    added: `${delegator} delegates to ${role}, ${keys}`,
    removed: `${delegator} no longer delegates to ${role}, ${keys}`,
    changed: `${role}: ${keysBefore} -> ${keys}`,
  }[change];
  return `  ${signs[change]} ${what}`;
}

function limited(lines: readonly string[]): string[] {
  if (lines.length <= shownLines) return [...lines];
  return [...lines.slice(0, shownLines), `  ... and ${lines.length - shownLines} more`];
}

export function differenceText(difference: Difference, names: Names, now: number): string {
  const expires = Math.min(...difference.files.map((file) => file.expires));
  const files = difference.files.map(({ role, versionBefore, version }) =>
    versionBefore === undefined ? `${role} ${version} (new)` : `${role} ${versionBefore} -> ${version}`,
  );
  const shownFiles = files.length > 12 ? [...files.slice(0, 12), `and ${files.length - 12} more`] : files;
  return [
    ...limited(difference.delegations.map((one) => delegationLine(one, names))),
    ...limited(difference.artifacts.map(artifactLine)),
    ...(difference.artifacts.length + difference.delegations.length === 0
      ? ['  nothing but versions and expiry']
      : []),
    `  files: ${shownFiles.join(', ')}; good until ${formatExpiry(expires, now)}`,
  ].join('\n');
}

/** Shows what will be signed and asks, where somebody can be asked. @throws CliError NOT_CONFIRMED */
export async function approve(
  { terminal }: Context,
  text: string,
  { yes = false, json = false }: { yes?: boolean | undefined; json?: boolean | undefined },
): Promise<void> {
  if (!json) terminal.note(text);
  if (yes || !terminal.interactive) return;
  if (await terminal.confirm('Sign and publish this?')) return;
  throw new CliError('NOT_CONFIRMED', 'nothing was signed');
}
