/** The kinds of manifests that we read, and the `Content-Type` header that names them. */

export const manifestMediaTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const;
export type ManifestMediaType = (typeof manifestMediaTypes)[number];

const known: ReadonlySet<string> = new Set(manifestMediaTypes);

export function isManifestMediaType(text: string): text is ManifestMediaType {
  return known.has(text);
}

/** True for the two kinds that list other manifests. */
export function isIndexMediaType(mediaType: ManifestMediaType): boolean {
  return mediaType === manifestMediaTypes[0] || mediaType === manifestMediaTypes[2];
}

/** The media type of a `Content-Type` value, lower case, without parameters. */
export function parseContentType(value: string | undefined): string {
  return (value ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
