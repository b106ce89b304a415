/** The same client against the real docker registry: open, with Basic, with tokens, over TLS. */
import assert from 'node:assert/strict';
import { manifestChildren, parseReference, RegistryClient, Secret } from '@mandate/oci';
import type { CredentialSource, ImageReference, RegistryClientOptions } from '@mandate/oci';
import { selfSignedCertificate } from '../support/certificate.ts';
import { needs } from '../support/needs.ts';
import { startRegistry } from '../support/registry.ts';
import type { RunningRegistry } from '../support/registry.ts';
import { rejectsCode } from './expect-code.ts';
import { config, image, imageType, index, indexType, layer, sha256 } from './sample-image.ts';
import { TokenService } from './token-service.ts';

const password = 'correct horse';

function passwordOf(username: string, text = password): CredentialSource {
  return () => Promise.resolve({ kind: 'password', username, password: new Secret(text) });
}

describe('docker-registry', () => {
  const certificate = selfSignedCertificate(['127.0.0.1', 'localhost']);
  const clients: RegistryClient[] = [];
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));

  function client(options: RegistryClientOptions = {}): RegistryClient {
    const made = new RegistryClient(options);
    clients.push(made);
    return made;
  }

  function app(registry: RunningRegistry, suffix = ':v1', host = registry.host): ImageReference {
    return parseReference(`${host}:${registry.port}/team/app${suffix}`);
  }

  async function push(pusher: RegistryClient, reference: ImageReference): Promise<void> {
    await pusher.pushBlob(reference, config);
    await pusher.pushBlob(reference, layer);
    await pusher.pushBlob(reference, layer);
    await pusher.putManifest(reference, { bytes: image, mediaType: imageType });
  }

  async function resolves(reader: RegistryClient, reference: ImageReference): Promise<void> {
    const resolved = await reader.resolve(reference);
    assert.deepEqual(
      [resolved.digest, resolved.size, resolved.mediaType],
      [sha256(image), image.length, imageType],
    );
    assert.deepEqual(Buffer.from(resolved.bytes), image);
  }

  describe('open to all', () => {
    let registry: RunningRegistry;
    before(async function () {
      needs(this, 'docker-registry');
      registry = await startRegistry();
    });
    after(() => registry?.stop());

    it('stores an image and an index, and resolves them by tag and digest', async () => {
      const open = client();
      await push(open, app(registry));
      const stored = await open.putManifest(app(registry, ':multi'), { bytes: index, mediaType: indexType });
      assert.deepEqual(stored, { digest: sha256(index), size: index.length });
      await resolves(open, app(registry));
      await resolves(open, app(registry, `@${sha256(image)}`));
      await resolves(open, app(registry, ':v1', 'localhost'));
      const multi = await open.resolve(app(registry, ':multi'));
      const [child] = manifestChildren(multi.bytes, multi.mediaType);
      assert.equal(child?.digest, sha256(image));
      await resolves(open, app(registry, `@${child.digest}`));
      assert.deepEqual(await open.head(app(registry, ':multi')), {
        digest: sha256(index),
        size: index.length,
        mediaType: indexType,
      });
    });

    it('gives blobs back', async () => {
      const open = client();
      const blob = await open.pushBlob(app(registry), layer);
      assert.deepEqual(Buffer.from(await open.getBlob(app(registry), blob)), layer);
      await rejectsCode(open.getBlob(app(registry), { ...blob, size: blob.size + 1 }), 'SIZE_MISMATCH');
    });

    it('says what is not there, and what the registry refuses', async () => {
      const open = client();
      await rejectsCode(open.resolve(app(registry, ':none')), 'NOT_FOUND');
      await rejectsCode(open.resolve(app(registry, `@sha256:${'0'.repeat(64)}`)), 'NOT_FOUND');
      await rejectsCode(open.resolve(parseReference(`${registry.host}:${registry.port}/none`)), 'NOT_FOUND');
      const dangling = Buffer.from(image.toString().replace(sha256(layer), `sha256:${'1'.repeat(64)}`));
      await rejectsCode(
        open.putManifest(app(registry, ':bad'), { bytes: dangling, mediaType: imageType }),
        'REFUSED',
      );
      const elsewhere = app(registry, `@sha256:${'0'.repeat(64)}`);
      await rejectsCode(
        open.putManifest(elsewhere, { bytes: image, mediaType: imageType }),
        'DIGEST_MISMATCH',
      );
    });

    it('does not speak https', async () => {
      await rejectsCode(
        client({ tlsHosts: [`127.0.0.1:${registry.port}`] }).resolve(app(registry)),
        'UNREACHABLE',
      );
    });
  });

  describe('with Basic authentication', () => {
    let registry: RunningRegistry;
    before(async function () {
      needs(this, 'docker-registry');
      registry = await startRegistry({ users: new Map([['ann', password]]) });
    });
    after(() => registry?.stop());

    it('lets the right password in and nobody else', async () => {
      const ann = client({ credentials: passwordOf('ann') });
      await push(ann, app(registry));
      await resolves(ann, app(registry));
      await rejectsCode(client().resolve(app(registry)), 'UNAUTHORIZED');
      await rejectsCode(
        client({ credentials: passwordOf('ann', 'wrong') }).resolve(app(registry)),
        'UNAUTHORIZED',
      );
      await rejectsCode(
        client({ credentials: passwordOf('ben') }).pushBlob(app(registry), layer),
        'UNAUTHORIZED',
      );
    });
  });

  describe('with tokens', () => {
    let registry: RunningRegistry;
    let service: TokenService;
    before(async function () {
      needs(this, 'docker-registry');
      service = await new TokenService({
        certificate,
        issuer: 'test issuer',
        service: 'test registry',
        users: new Map([
          ['ann', { password, refreshToken: 'refresh-ann', actions: ['pull', 'push'] }],
          ['ben', { password, refreshToken: 'refresh-ben', actions: [] }],
        ]),
        anonymousActions: ['pull'],
      }).start();
      const { certificatePem } = certificate;
      const token = { realm: service.realm, service: 'test registry', issuer: 'test issuer', certificatePem };
      registry = await startRegistry({ token });
    });
    after(async () => {
      await registry?.stop();
      await service?.stop();
    });

    it('pushes with a password, pulls with nothing', async () => {
      await push(client({ credentials: passwordOf('ann') }), app(registry));
      service.server.seen.length = 0;
      const anyone = client();
      await resolves(anyone, app(registry));
      await resolves(anyone, app(registry, `@${sha256(image)}`));
      assert.equal(service.server.seen.length, 1);
      assert.equal(service.server.seen[0]?.authorization, undefined);
      await rejectsCode(anyone.pushBlob(app(registry), Buffer.from('new')), 'UNAUTHORIZED');
    });

    it('pushes and pulls with an identity token', async () => {
      const credentials: CredentialSource = () =>
        Promise.resolve({ kind: 'identity-token', token: new Secret('refresh-ann') });
      const ann = client({ credentials });
      await push(ann, app(registry, ':v2'));
      await resolves(ann, app(registry, ':v2'));
    });

    it('refuses a wrong password, a wrong identity token and a user without rights', async () => {
      const wrong: CredentialSource = () =>
        Promise.resolve({ kind: 'identity-token', token: new Secret('guess') });
      for (const credentials of [passwordOf('ann', 'wrong'), passwordOf('ben'), wrong]) {
        await rejectsCode(client({ credentials }).resolve(app(registry)), 'UNAUTHORIZED');
      }
    });
  });

  describe('over TLS', () => {
    let registry: RunningRegistry;
    before(async function () {
      needs(this, 'docker-registry');
      registry = await startRegistry({ tls: certificate });
    });
    after(() => registry?.stop());

    it('is trusted by its certificate alone', async () => {
      const tlsHosts = [`127.0.0.1:${registry.port}`];
      const trusting = client({ tlsHosts, ca: certificate.certificatePem });
      await push(trusting, app(registry));
      await resolves(trusting, app(registry));
      await rejectsCode(client({ tlsHosts }).resolve(app(registry)), 'UNREACHABLE');
      await rejectsCode(client().resolve(app(registry)), 'REFUSED');
    });
  });
});
