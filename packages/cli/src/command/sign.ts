import { targetPath, type JsonObject, type NewTarget } from '@mandate/metadata';
import type { Command } from 'commander';
import {
  contentOfFile,
  defaultMediaType,
  contentOfImage,
  formatArtifact,
  parseArtifact,
  type ArtifactName,
  type Content,
} from '../artifact.ts';
import type { Context } from '../context.ts';
import { usage } from '../error.ts';
import {
  addRegistryOptions,
  addSigningOptions,
  collect,
  type RegistryOptions,
  type SigningOptions,
} from '../option.ts';
import type { Outcome } from '../outcome.ts';
import type { ActionWrapper } from '../program.ts';
import { changeEntries } from '../signer/listing.ts';
import { outcomeOf, publicationJson, signChange } from '../signer/session.ts';

interface Options extends SigningOptions, RegistryOptions {
  readonly tenant?: string;
  readonly name?: string;
  readonly size?: string;
  readonly mediaType?: string;
  readonly annotation?: readonly string[];
}

export function register(program: Command, action: ActionWrapper): void {
  const command = program
    .command('sign')
    .description('Vouch for an image in a registry, or for any file or digest under a name')
    .argument('<what...>', 'image reference, or with --name one file or sha256:<hex>')
    .option('--tenant <tenant>', 'the tenant, where no trusted prefix says it')
    .option('--name <name>', 'what a file or digest is called in the tenant: tools/cli:1.2.tgz')
    .option('--size <bytes>', 'the size of what a bare digest stands for')
    .option('--media-type <type>', 'the media type of a file or digest')
    .option(
      '--annotation <key=value>',
      'a statement of your own, org.example.build=42; may be repeated',
      collect,
    );
  addRegistryOptions(addSigningOptions(command))
    .addHelpText(
      'after',
      '\nExample:\n  $ mandate sign localhost:5000/acme/app:v1\n  $ mandate sign --tenant acme --name tools/cli:1.2.tgz ./cli.tgz\n',
    )
    .action(action(sign));
}

/** One artifact with all that will be said about it. */
interface Signing {
  readonly name: ArtifactName;
  readonly content: Content & { readonly size: number };
  readonly entries: ReadonlyMap<string, NewTarget>;
}

async function sign(context: Context, what: readonly string[], options: Options): Promise<Outcome> {
  if (options.name !== undefined && what.length > 1) throw usage('--name names one file or digest');
  const names = await Promise.all(what.map((text) => parseArtifact(context, text, options)));
  const [first] = names as [ArtifactName];
  const other = names.find(({ trusted }) => trusted.tenant !== first.trusted.tenant);
  if (other !== undefined) {
    throw usage(
      `${formatArtifact(other)} belongs to tenant ${other.trusted.tenant}, not ${first.trusted.tenant}`,
      'sign for one tenant at a time',
    );
  }
  const annotations = parseAnnotations(options.annotation ?? []);
  const signings = await context.terminal.progress('looking at what is signed', () =>
    Promise.all(names.map((name) => signingOf(context, name, options, annotations))),
  );
  const published = await signChange(context, {
    trusted: first.trusted,
    options,
    async write(draft) {
      const entries = signings.flatMap((signing) => [...signing.entries]);
      return { roles: await changeEntries(draft, entries) };
    },
  });
  const { tenant } = first.trusted;
  const { roles } = published.result;
  return outcomeOf(published, tenant, {
    text: signings
      .map(({ name, content }) => `signed ${formatArtifact(name)} in tenant ${tenant}: ${content.digest}`)
      .join('\n'),
    json: {
      tenant,
      roles,
      artifacts: signings.map(({ name, content, entries }) => ({
        repository: name.repository,
        ...(name.tag === undefined ? {} : { tag: name.tag }),
        ...content,
        paths: [...entries.keys()],
      })),
      ...publicationJson(published),
    },
    hints: [`by role ${roles.join(', ')}; check it: mandate verify ${checkArguments(what, options)}`],
  });
}

function checkArguments(what: readonly string[], { tenant, name }: Options): string {
  const where = tenant === undefined ? [] : ['--tenant', tenant];
  return [...where, ...(name === undefined ? [] : ['--name', name]), what[0]].join(' ');
}

function parseAnnotations(pairs: readonly string[]): JsonObject {
  const parsed = pairs.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw usage(`"${pair}" is not key=value`, 'for example --annotation org.example.build=42');
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  return Object.fromEntries(parsed);
}

async function signingOf(
  context: Context,
  name: ArtifactName,
  options: Options,
  annotations: JsonObject,
): Promise<Signing> {
  const content = await contentOf(context, name, options);
  const custom: JsonObject = {
    mediaType: content.mediaType ?? options.mediaType ?? defaultMediaType,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
  const entry: NewTarget = { length: content.size, digest: content.digest, custom };
  const references = [...(name.tag === undefined ? [] : [name.tag]), content.digest];
  const entries = new Map(
    references.map((reference) => [targetPath(name.repository, reference) as string, entry]),
  );
  return { name, content, entries };
}

async function contentOf(
  context: Context,
  { image, file, digest }: ArtifactName,
  { size, mediaType, insecureRegistry }: Options,
): Promise<Content & { readonly size: number }> {
  if (image !== undefined) {
    if (size !== undefined || mediaType !== undefined)
      throw usage('the registry says size and media type of an image', 'leave out --size and --media-type');
    return contentOfImage(context, image, insecureRegistry);
  }
  if (file !== undefined) {
    const found = await contentOfFile(file);
    if (digest !== undefined && digest !== found.digest)
      throw usage(`${file} has the digest ${found.digest}, not the one in its name`);
    return found;
  }
  if (digest === undefined) throw usage('a file or a digest is needed');
  if (size === undefined || !/^(0|[1-9][0-9]{0,15})$/.test(size))
    throw usage('a bare digest says nothing of the size', 'say how many bytes it stands for: --size <bytes>');
  return { digest, size: Number(size), mediaType: undefined };
}
