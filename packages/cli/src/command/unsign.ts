import { hexOf, targetPath, type Digest } from '@mandate/metadata';
import type { Command } from 'commander';
import { formatArtifact, parseArtifact, type ArtifactName } from '../artifact.ts';
import type { Context } from '../context.ts';
import { CliError } from '../error.ts';
import { addSigningOptions, type SigningOptions } from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { changeContent } from '../signer/content.ts';
import type { Draft } from '../signer/draft.ts';
import { outcomeOf, publicationJson, signChange } from '../signer/session.ts';
import { entriesOf, holderOfPath, type Entry } from '../signer/walk.ts';

interface Options extends SigningOptions {
  readonly tenant?: string;
  readonly name?: string;
  readonly tagOnly?: boolean;
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('unsign')
    .description(
      'Vouch for something no longer: a tag with its digest, or a digest with every tag that leads to it',
    )
    .argument('[reference]', 'image reference; leave it out with --name')
    .option('--tenant <tenant>', 'the tenant, where no trusted prefix says it')
    .option('--name <name>', 'what it is called in the tenant: tools/cli:1.2.tgz')
    .option('--tag-only', 'take back the tag and keep vouching for its digest');
  addSigningOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate unsign localhost:5000/acme/app:v1\n  $ mandate unsign --tenant acme --name tools/cli:1.2.tgz\n',
    )
    .action(action(unsign));
}

async function unsign(context: Context, reference: string | undefined, options: Options): Promise<Outcome> {
  if (reference === undefined && options.name === undefined) {
    throw new CliError('USAGE', 'what is to be taken back?', {
      next: 'give an image reference, or --tenant and --name',
    });
  }
  const name = await parseArtifact(context, reference ?? '', options);
  const published = await signChange(context, {
    trusted: name.trusted,
    options,
    write: (draft) => takeBack(draft, name, options.tagOnly === true),
  });
  const paths = published.result;
  return outcomeOf(published, name.trusted.tenant, {
    text: `no longer signed in tenant ${name.trusted.tenant}: ${paths.join(', ')}`,
    json: { tenant: name.trusted.tenant, paths, ...publicationJson(published) },
  });
}

/** Removes the entries and returns their paths. */
async function takeBack(draft: Draft, name: ArtifactName, tagOnly: boolean): Promise<readonly string[]> {
  const { repository, tag, digest } = name;
  const prefix = `${repository}/`;
  const wanted = targetPath(repository, digest ?? tag ?? '') as string;
  const holder = await holderOfPath(draft, wanted);
  const entries = await entriesOf(
    draft,
    holder,
    (path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'),
  );
  const entry = entries.get(wanted);
  if (entry === undefined) {
    throw new CliError('NOT_FOUND', `${formatArtifact(name)} is not signed by role ${holder.role}`, {
      role: holder.role,
      next: `mandate inspect shows what is signed`,
    });
  }
  const paths =
    digest === undefined ? tagPaths(entries, wanted, entry, prefix, tagOnly) : pathsOf(entries, digest);
  await changeContent(draft, holder, new Map(paths.map((path) => [path, null])));
  return paths;
}

/** Every entry of the repository that stands for the digest. */
function pathsOf(entries: ReadonlyMap<string, Entry>, digest: Digest): string[] {
  return [...entries]
    .filter(([, { target }]) => target.hashes.sha256 === hexOf(digest))
    .map(([path]) => path);
}

/** The tag, and its digest unless another tag leads to the same. */
function tagPaths(
  entries: ReadonlyMap<string, Entry>,
  wanted: string,
  { target }: Entry,
  prefix: string,
  tagOnly: boolean,
): string[] {
  const byDigest = `${prefix}sha256:${target.hashes.sha256}`;
  const shared = [...entries].some(
    ([path, other]) =>
      path !== wanted && path !== byDigest && other.target.hashes.sha256 === target.hashes.sha256,
  );
  return tagOnly || shared || !entries.has(byDigest) ? [wanted] : [wanted, byDigest];
}
