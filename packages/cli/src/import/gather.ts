/** What is to be imported, from a list, a registry, or a list of which a registry says the sizes. */
import { isAbove, type TrustedTenant } from '@mandate/client';
import { parseReference } from '@mandate/oci/reference';
import { defaultMediaType } from '../artifact.ts';
import { loadTrust, tenantOfName } from '../trust.ts';
import type { Context } from '../context.ts';
import { CliError, usage } from '../error.ts';
import type { LineFault, ListedImage } from './line.ts';
import { readList } from './list-file.ts';
import type { LeftOut, RegistryFolder, RegistryImages } from './registry-images.ts';
import { Wanted } from './wanted.ts';

/** More bad lines than this are not looked for. */
const maxFaults = 100;
const shownFaults = 10;

/**
 * `host/path`, or a host: then the path is that of the tenant's image names there, else the tenant's own.
 *
 * @throws CliError USAGE; OciError INVALID_REFERENCE
 */
export function registryFolder(text: string, { tenant, prefixes }: TrustedTenant): RegistryFolder {
  const { registry: host, repository } = parseReference(`${text.replace(/\/+$/, '')}/x`);
  const path = repository.slice(0, -2);
  if (path !== '') return { host, path };
  const paths = prefixes
    .filter((prefix) => prefix.startsWith(`${host}/`))
    .map((prefix) => prefix.slice(host.length + 1));
  if (paths.length > 1)
    throw usage(
      `tenant ${tenant} has several prefixes on ${host}`,
      `say which: --registry ${host}/${paths[0]}`,
    );
  return { host, path: paths[0] ?? (tenant === '/' ? '' : tenant) };
}

/** @throws CliError BAD_LINES, and then nothing was asked of anybody; FILE, LIMIT_EXCEEDED; OciError */
export async function imagesOfList(
  path: string,
  registry: RegistryImages | undefined,
  tell: (images: number) => void,
): Promise<Wanted> {
  const wanted = new Wanted();
  const faults: LineFault[] = [];
  const incomplete: (ListedImage & { readonly line: number })[] = [];
  const add = (line: number, image: ListedImage & { readonly size: number }): void => {
    tell(1);
    if (wanted.add({ ...image, mediaType: image.mediaType ?? defaultMediaType })) return;
    const message = 'an earlier line says something else of this tag or digest';
    faults.push({ line, column: 1, code: 'CONTRADICTION', message });
  };
  for await (const read of readList(path, registry === undefined)) {
    if (faults.length >= maxFaults) break;
    if ('code' in read) {
      faults.push(read);
      continue;
    }
    const { line, image } = read;
    const { size, mediaType } = image;
    if (size === undefined || (mediaType === undefined && registry !== undefined))
      incomplete.push({ ...image, line });
    else add(line, { ...image, size });
  }
  requireNone(path, faults);
  await registry?.describe(incomplete, (found, { line, size, mediaType }) => {
    add(line, { ...found, size: size ?? found.size, mediaType: mediaType ?? found.mediaType });
  });
  requireNone(path, faults);
  if (wanted.images > 0 || (registry?.leftOut.length ?? 0) > 0) return wanted;
  throw new CliError('FILE', `${path} names no image`, { next: 'docs/cli.md says what a line looks like' });
}

function requireNone(path: string, faults: readonly LineFault[]): void {
  if (faults.length === 0) return;
  const shown = faults
    .slice(0, shownFaults)
    .map(({ line, column, code, message }) => `\n  ${path}:${line}:${column}: ${message} (${code})`);
  const count = faults.length >= maxFaults ? `${maxFaults} or more lines` : `${faults.length} lines`;
  const more = faults.length > shownFaults ? `\n  ... and ${faults.length - shownFaults} more` : '';
  throw new CliError('BAD_LINES', `${count} of ${path} cannot be used:${shown.join('')}${more}`, {
    lines: faults,
    next: 'correct them; nothing was signed',
  });
}

/** @throws CliError NOT_FOUND, LIMIT_EXCEEDED; OciError */
export async function imagesOfRegistry(
  context: Context,
  { tenant }: TrustedTenant,
  registry: RegistryImages,
  tell: (images: number) => void,
): Promise<{ readonly wanted: Wanted; readonly leftOut: readonly LeftOut[] }> {
  const config = await loadTrust(context);
  const leftOut: LeftOut[] = [];
  const repositories = (await registry.repositories()).filter((name) => {
    const owner = tenantOfName(config, `${registry.name}/${name}`)?.tenant.tenant;
    const isBelow = owner !== undefined && isAbove(tenant, owner);
    if (isBelow) leftOut.push({ name, code: 'CHILD_TENANT' });
    return !isBelow;
  });
  const wanted = new Wanted();
  await registry.look(repositories, (image) => {
    tell(1);
    wanted.add(image);
  });
  return { wanted, leftOut };
}
