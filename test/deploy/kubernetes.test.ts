/** deploy/kubernetes: against the schemas of the API, and that its parts fit each other and the service. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { configFrom, ServerError } from '@mandate/server';
import { parse } from 'yaml';
import { needs } from '../support/needs.ts';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url));
/** The oldest that is maintained somewhere, and the newest that the schemas are known of. */
const versions = ['1.30', '1.37'];

interface Labelled {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface EnvironmentVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}

interface Container {
  readonly env?: readonly EnvironmentVariable[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly resources?: { readonly requests?: object; readonly limits?: object };
  readonly [probe: `${string}Probe`]: { readonly httpGet?: { path: string; port: string } } | undefined;
}

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly securityContext?: Readonly<Record<string, unknown>>;
    readonly automountServiceAccountToken?: boolean;
    readonly containers: readonly Container[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly secret?: { secretName: string; items: readonly { key: string; path: string }[] };
    }[];
  };
}

interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: Labelled;
  readonly spec: {
    readonly replicas: number;
    readonly selector: Selector & Readonly<Record<string, string>>;
    readonly podSelector: Selector;
    readonly template: PodTemplate;
    readonly ports: readonly { readonly name: string; readonly targetPort: string }[];
    readonly endpoints: readonly {
      readonly port: string;
      readonly path: string;
      readonly authorization: { readonly credentials: { readonly name: string; readonly key: string } };
    }[];
  };
  readonly stringData: Readonly<Record<string, string>>;
}

interface Kustomization {
  readonly resources: readonly string[];
  readonly configMapGenerator?: readonly { readonly name: string; readonly literals: readonly string[] }[];
}

function read(path: string): Manifest {
  return parse(readFileSync(join(folder, path), 'utf8')) as Manifest;
}

function kustomization(part: string): Kustomization {
  return parse(readFileSync(join(folder, part, 'kustomization.yaml'), 'utf8')) as Kustomization;
}

const parts = ['base', 'canary', 'monitoring'];
const manifests = parts.flatMap((part) =>
  readdirSync(join(folder, part))
    .filter((name) => name !== 'kustomization.yaml')
    .map((name) => `${part}/${name}`),
);
/** What the API itself knows; the others are of the Prometheus operator. */
const known = [...manifests, 'secret.template.yaml'].filter((path) => read(path).kind !== 'ServiceMonitor');

function isWithin(wanted: Readonly<Record<string, string>>, labels: Labelled['labels']): boolean {
  return Object.entries(wanted).every(([name, value]) => labels?.[name] === value);
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => error instanceof ServerError && error.code === expected;
}

describe('deploy/kubernetes', () => {
  const validate = (version: string, files: readonly string[]): Promise<unknown> =>
    run(process.env['MANDATE_TEST_KUBERNETES_VALIDATE'] ?? '', ['--strict', '-k', version, ...files]);

  for (const version of versions)
    it(`keeps the schemas of Kubernetes ${version}`, async function () {
      needs(this, 'kubernetes-validate');
      this.timeout(60_000);
      await validate(
        version,
        known.map((path) => join(folder, path)),
      );
    });

  it('would be refused with one misspelt key', async function () {
    needs(this, 'kubernetes-validate');
    this.timeout(60_000);
    const made = mkdtempSync(join(tmpdir(), 'mandate-kubernetes-'));
    try {
      const broken = join(made, 'deployment.yaml');
      const text = readFileSync(join(folder, 'base/deployment.yaml'), 'utf8');
      writeFileSync(broken, text.replace('readOnlyRootFilesystem', 'readOnlyRootFileSystem'));
      await assert.rejects(validate('1.37', [broken]));
    } finally {
      rmSync(made, { recursive: true });
    }
  });

  it('has every file in its kustomization, and no other', () => {
    const listed = parts.flatMap((part) => kustomization(part).resources.map((name) => `${part}/${name}`));
    assert.deepEqual(listed.sort(), [...manifests].sort());
  });

  it('selects its own pods, and reaches the port that they have', () => {
    const deployment = read('base/deployment.yaml');
    const { labels } = deployment.spec.template.metadata;
    const service = read('base/service.yaml');
    for (const wanted of [
      deployment.spec.selector.matchLabels,
      service.spec.selector,
      read('base/pod-disruption-budget.yaml').spec.selector.matchLabels,
      read('base/network-policy.yaml').spec.podSelector.matchLabels,
    ])
      assert.ok(isWithin(wanted, labels), JSON.stringify(wanted));
    const [container] = deployment.spec.template.spec.containers;
    const ports = container?.ports?.map(({ name }) => name) ?? [];
    for (const { targetPort } of service.spec.ports) assert.ok(ports.includes(targetPort));
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
      const { path, port } = container?.[probe]?.httpGet ?? assert.fail(probe);
      assert.ok(ports.includes(port));
      assert.equal(path, probe === 'readinessProbe' ? '/readyz' : '/healthz');
    }
    assert.ok(deployment.spec.replicas > 1);
    assert.ok(container?.resources?.requests !== undefined && container.resources.limits !== undefined);
  });

  it('is scraped under the name that the alarms know, with a token', () => {
    const { spec } = read('monitoring/service-monitor.yaml');
    const service = read('base/service.yaml');
    // kustomize adds the name to every resource.
    const labels = { ...service.metadata.labels, 'app.kubernetes.io/name': 'mandate' };
    assert.ok(isWithin(spec.selector.matchLabels, labels));
    const [endpoint] = spec.endpoints;
    assert.ok(service.spec.ports.some(({ name }) => name === endpoint?.port));
    assert.equal(endpoint?.path, '/metrics');
    const { name, key } = endpoint.authorization.credentials;
    const secret = read('secret.template.yaml');
    assert.equal(name, secret.metadata.name);
    assert.ok(key in secret.stringData);
  });

  for (const part of ['base', 'canary'])
    it(`runs ${part} without rights, on a file system that it cannot write`, () => {
      const { spec } = read(`${part}/deployment.yaml`).spec.template;
      const { runAsNonRoot, runAsUser, seccompProfile } = spec.securityContext ?? {};
      assert.equal(runAsNonRoot, true);
      assert.ok(Number(runAsUser) > 0);
      assert.deepEqual(seccompProfile, { type: 'RuntimeDefault' });
      assert.equal(spec.automountServiceAccountToken, false);
      for (const { securityContext } of spec.containers)
        assert.deepEqual(securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
    });

  it('has one canary, which reaches the service and is reached by Prometheus alone', () => {
    const { spec } = read('canary/deployment.yaml');
    assert.equal(spec.replicas, 1);
    const { labels } = spec.template.metadata;
    const service = read('canary/service.yaml');
    const { podSelector } = read('canary/network-policy.yaml').spec;
    for (const wanted of [spec.selector.matchLabels, service.spec.selector, podSelector.matchLabels])
      assert.ok(isWithin(wanted, labels));
    // No request of readers ends at the canary.
    assert.ok(!isWithin(read('base/service.yaml').spec.selector, labels));
    const [container] = spec.template.spec.containers;
    const { value = '' } = container?.env?.find(({ name }) => name === 'MANDATE_SERVICE') ?? {};
    assert.equal(new URL(value).hostname, read('base/service.yaml').metadata.name);
  });

  it('gives the service what it needs, from a Secret that is not here', () => {
    const { spec } = read('base/deployment.yaml').spec.template;
    const secret = read('secret.template.yaml');
    const [container] = spec.containers;
    const keys = Object.keys(secret.stringData);
    const given = new Map<string, string>();
    for (const { name, value, valueFrom } of container?.env ?? []) {
      const { secretKeyRef } = valueFrom ?? {};
      if (secretKeyRef !== undefined) {
        assert.equal(secretKeyRef.name, secret.metadata.name);
        assert.ok(keys.includes(secretKeyRef.key));
      }
      given.set(name, value ?? secretKeyRef?.key ?? '');
    }
    for (const file of ['MANDATE_SEALING_KEY_FILE', 'MANDATE_OPERATOR_TOKEN_FILE']) {
      const path = given.get(file) ?? assert.fail(file);
      const mount = container?.volumeMounts?.find(({ mountPath }) => path.startsWith(`${mountPath}/`));
      const volume = spec.volumes?.find(({ name }) => name === mount?.name)?.secret;
      assert.equal(volume?.secretName, secret.metadata.name);
      const item = volume.items.find((one) => path === `${mount?.mountPath}/${one.path}`);
      assert.ok(keys.includes(item?.key ?? ''), path);
    }
    const settings = kustomization('base').configMapGenerator?.[0]?.literals ?? [];
    const documented = readFileSync(new URL('../../docs/server.md', import.meta.url), 'utf8');
    for (const name of [...given.keys(), ...settings.map((one) => one.split('=')[0] ?? '')])
      assert.ok(documented.includes(`\`${name}\``), name);
  });

  it('has a template that the service refuses as it is', () => {
    const { stringData } = read('secret.template.yaml');
    const good = configFrom({
      DATABASE_URL: 'postgres://m:m@db/m',
      MANDATE_SEALING_KEY: 'A'.repeat(43),
    });
    assert.ok(good.databaseUrl);
    for (const [name, key] of [
      ['DATABASE_URL', 'database-url'],
      ['MANDATE_SEALING_KEY', 'sealing-key'],
      ['MANDATE_OPERATOR_TOKEN', 'operator-token'],
    ] as const)
      assert.throws(() => configFrom({ [name]: stringData[key] }), code('CONFIGURATION'), name);
  });
});
