/** A tiny image, as bytes. */
import { createHash } from 'node:crypto';
import { manifestMediaTypes } from '@mandate/oci';
import type { ManifestMediaType } from '@mandate/oci';

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export const config: Uint8Array = Buffer.from('{}');
export const layer: Uint8Array = Buffer.from('one small layer\n');
export const imageType: ManifestMediaType = manifestMediaTypes[1];
export const indexType: ManifestMediaType = manifestMediaTypes[0];

export const image: Uint8Array = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: sha256(config),
      size: config.length,
    },
    layers: [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: sha256(layer), size: layer.length },
    ],
  }),
);

export const index: Uint8Array = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: indexType,
    manifests: [
      {
        mediaType: imageType,
        digest: sha256(image),
        size: image.length,
        platform: { os: 'linux', architecture: 'amd64' },
      },
    ],
  }),
);
