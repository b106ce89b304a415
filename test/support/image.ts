/** A small image of one layer, pushed to a registry with our own client. */
import { parseReference, RegistryClient, type ImageReference } from '@mandate/oci';
import { parseDigest, sha256Of, type Digest } from '@mandate/metadata';

const configType = 'application/vnd.oci.image.config.v1+json';
const layerType = 'application/vnd.oci.image.layer.v1.tar';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';

/** One file in a tar archive (POSIX ustar). */
function tarOf(name: string, content: string): Buffer {
  const data = Buffer.from(content);
  const header = Buffer.alloc(512);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  header.write(octal(data.length, 12), 124);
  header.write(octal(0, 12), 136);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    ),
    148,
  );
  const padding = Buffer.alloc((512 - (data.length % 512)) % 512);
  return Buffer.concat([header, data, padding, Buffer.alloc(1024)]);
}

/** @returns the digest of the manifest */
export async function pushImage(reference: string, content: string): Promise<Digest> {
  const image: ImageReference = parseReference(reference);
  const client = new RegistryClient();
  try {
    const layerBytes = tarOf('hello.txt', content);
    const layer = await client.pushBlob(image, layerBytes);
    const rootfs = { type: 'layers', diff_ids: [sha256Of(layerBytes)] };
    const configBytes = Buffer.from(
      JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs }),
    );
    const config = await client.pushBlob(image, configBytes);
    const manifest = {
      schemaVersion: 2,
      mediaType: manifestType,
      config: { mediaType: configType, ...config },
      layers: [{ mediaType: layerType, ...layer }],
    };
    const stored = await client.putManifest(image, {
      bytes: Buffer.from(JSON.stringify(manifest)),
      mediaType: manifestType,
    });
    return parseDigest(stored.digest);
  } finally {
    await client.close();
  }
}
