import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DCLinter } from 'dclint';
import { parse } from 'yaml';

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly networks?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly unknown[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const file = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));

interface Fault {
  readonly rule: string;
  readonly line: number;
  readonly message: string;
}

/** The compose schema and dclint's rules, but for two: order is ours, and we both name and build an image. */
const linter = new DCLinter({
  rules: {
    'no-build-and-image': 0,
    'service-dependencies-alphabetical-order': 0,
    'service-keys-order': 0,
    'service-ports-alphabetical-order': 0,
    'services-alphabetical-order': 0,
    'top-level-properties-order': 0,
  },
  quiet: false,
  debug: false,
  exclude: [],
});

function faultsOf(path: string): string[] {
  const results: readonly { readonly messages: readonly Fault[] }[] = linter.lintFiles([path], false);
  return results.flatMap(({ messages }) =>
    messages.map(({ rule, line, message }) => `${line}: ${rule}: ${message}`),
  );
}

describe('docker-compose.yml', () => {
  const compose: Compose = parse(readFileSync(file, 'utf8'), { merge: true });
  const services = new Map(Object.entries(compose.services));
  const service = (name: string): Service => services.get(name) ?? assert.fail(name);

  it('keeps the compose schema', () => {
    assert.deepEqual(faultsOf(file), []);
  });

  it('would be refused with one misspelt key', () => {
    const folder = mkdtempSync(join(tmpdir(), 'mandate-compose-'));
    try {
      const broken = join(folder, 'docker-compose.yml');
      writeFileSync(broken, readFileSync(file, 'utf8').replace('stop_grace_period', 'stop_grace_time'));
      assert.ok(faultsOf(broken).some((fault) => fault.includes('invalid-schema')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('runs the service twice, alike but for the order of their start', () => {
    const { depends_on: first, ...one } = service('mandate-1');
    const { depends_on: second, ...two } = service('mandate-2');
    assert.deepEqual(one, two);
    assert.deepEqual(Object.keys(first ?? {}), ['postgres']);
    assert.deepEqual(Object.keys(second ?? {}), ['mandate-1']);
  });

  it('gives the service everything that it is configured by', () => {
    const { environment = {} } = service('mandate-1');
    assert.deepEqual(Object.keys(environment).sort(), [
      'DATABASE_URL',
      'HOST',
      'MANDATE_OPERATOR_TOKEN',
      'MANDATE_SEALING_KEY',
      'MANDATE_TRUSTED_PROXIES',
      'PORT',
    ]);
    assert.match(environment['DATABASE_URL'] ?? '', /@postgres:5432\/mandate$/);
  });

  it('runs the canary beside them, with a token and a folder of its own, and away from the database', () => {
    const { image, command = [], environment = {}, networks, volumes, depends_on } = service('canary');
    assert.equal(image, service('mandate-1').image);
    assert.equal(command[0], 'canary');
    const option = (name: string): string | undefined => command[command.indexOf(name) + 1];
    // The image's health check asks /healthz on PORT.
    assert.equal(option('--port'), environment['PORT']);
    assert.deepEqual(volumes, [`canary-data:${option('--state')}`]);
    assert.deepEqual(Object.keys(environment).sort(), ['MANDATE_SERVICE', 'MANDATE_TOKEN', 'PORT']);
    const [, name = ''] = /^http:\/\/([^:]+):8080$/.exec(environment['MANDATE_SERVICE'] ?? '') ?? [];
    assert.deepEqual(Object.keys(depends_on ?? {}), [name]);
    assert.deepEqual(networks, ['front']);
  });

  it('has PostgreSQL 17, a registry and a proxy', () => {
    assert.match(service('postgres').image ?? '', /^postgres:17\b/);
    assert.equal(service('registry').image, 'registry:3');
    assert.match(service('proxy').image ?? '', /^caddy:2\b/);
  });

  it('publishes the proxy, the registry on loopback, and nothing else', () => {
    const published = [...services].filter(([, { ports }]) => ports !== undefined).map(([name]) => name);
    assert.deepEqual(published.sort(), ['proxy', 'registry']);
    assert.deepEqual(service('registry').ports, ['127.0.0.1:5000:5000']);
  });

  it('keeps the database out of the network that the proxy is in', () => {
    const fronts = service('proxy').networks ?? [];
    assert.equal(
      service('postgres').networks?.some((name) => fronts.includes(name)),
      false,
    );
  });

  it('refers only to what it declares', () => {
    for (const { networks = [], volumes = [], depends_on: needed = {} } of services.values()) {
      for (const name of networks) assert.ok(name in compose.networks, name);
      for (const name of Object.keys(needed)) assert.ok(services.has(name), name);
      for (const volume of volumes) {
        const [source = ''] = volume.split(':');
        if (source.startsWith('./')) readFileSync(new URL(`../../${source}`, import.meta.url));
        else assert.ok(source in compose.volumes, source);
      }
    }
  });
});
