/**
 * Role holders who edit and publish in any order, right and wrong, and a model of who vouches for what: after every
 * publication that the rules accept, a fresh client must find exactly that.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  binName,
  binNumber,
  contains,
  covers,
  isObject,
  member,
  MetadataError,
  scopeOfRole,
  servedName,
  withBins,
  withDelegation,
  withoutDelegation,
  withoutTargets,
  withTargets,
  type JsonObject,
  type SubmittedFile,
  type TrustedMetadata,
} from '@mandate/metadata';
import { day, Owner, roleKeys, target, Tenancy } from './tenancy.ts';
import { testKey, type TestKey } from './test-key.ts';
import { find, load } from './walker.ts';

const roleNames = [
  'org',
  'org~a',
  'org~a~b',
  'org~b',
  'repo~a~x',
  'repo~a~b~x',
  'repo~b~x',
  'distrust',
  'attest~qa',
];
export const paths: readonly string[] = [
  'a/x/v1',
  'a/y/v1',
  'a/b/x/v1',
  'a/b/y/v1',
  'a/b/c/d/v1',
  'b/x/v1',
  'b/v1',
  'c/v1',
  'x',
  '~distrust/x',
  '~attest/qa/a/x/v1',
  '~other/x',
  '1/2/3/4/5/6/7/8/9',
];

/** What the accepted files say, walked by the letter of the specification and nothing of ours. */
class Model {
  readonly live = new Map<string, JsonObject>();

  delegations(role: string): JsonObject {
    const value = member(this.live.get(role) ?? {}, 'delegations');
    return isObject(value) ? value : {};
  }

  names(role: string): string[] {
    const delegations = this.delegations(role);
    const bins = member(delegations, 'succinct_roles');
    if (isObject(bins)) {
      const bitLength = bins['bit_length'] as number;
      return Array.from(
        { length: 2 ** bitLength },
        (_, i) => `${bins['name_prefix'] as string}-${i.toString(16)}`,
      );
    }
    return ((member(delegations, 'roles') ?? []) as JsonObject[]).map((one) => one['name'] as string);
  }

  /** Roles that walks come to, with their delegators. */
  reachable(role = 'targets', delegator = 'root'): (readonly [string, string])[] {
    return [[role, delegator], ...this.names(role).flatMap((name) => this.reachable(name, role))];
  }

  /** The role that vouches for a path. */
  voucher(path: string, role = 'targets'): string | undefined {
    const targets = member(this.live.get(role) ?? {}, 'targets');
    if (isObject(targets) && Object.hasOwn(targets, path)) return role;
    const delegations = this.delegations(role);
    const bins = member(delegations, 'succinct_roles');
    if (isObject(bins)) {
      const bitLength = bins['bit_length'] as number;
      return this.voucher(
        path,
        binName({ bitLength, namePrefix: bins['name_prefix'] as string }, binNumber(bitLength, path)),
      );
    }
    for (const one of (member(delegations, 'roles') ?? []) as JsonObject[]) {
      const matches = (one['paths'] as string[]).some((pattern) =>
        new RegExp(`^${pattern.replaceAll(/[.+]/g, '\\$&').replaceAll('*', '[^/]*')}$`).test(path),
      );
      if (matches) return this.voucher(path, one['name'] as string);
    }
    return undefined;
  }
}

export class World {
  readonly tenancy = new Tenancy();
  readonly owner: Owner = new Owner(this.tenancy);
  readonly model = new Model();
  readonly keyNumber = new Map<string, number>();
  rootKey: TestKey = testKey('root');
  accepted = 0;
  refused = 0;

  role(number: number): string {
    const names = [...this.tenancy.roles.keys()];
    return names[number % names.length] as string;
  }

  /** Keys that the role has not had yet. */
  newKeys(role: string): readonly TestKey[] {
    const number = (this.keyNumber.get(role) ?? 0) + 1;
    this.keyNumber.set(role, number);
    return [testKey(`${role} ${number}`)];
  }

  /** Builds, submits all or all but one file, and keeps what was built only where it was accepted. */
  async attempt(build: () => SubmittedFile[], leave?: number): Promise<void> {
    const [content, keys, rootKey] = [new Map(this.owner.content), new Map(this.owner.keys), this.rootKey];
    let files: SubmittedFile[];
    try {
      files = build();
      if (leave !== undefined && files.length > 1) files.splice(leave % files.length, 1);
      await this.tenancy.publish(files);
      this.accepted += 1;
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error;
      this.refused += 1;
      this.owner.content.clear();
      for (const [role, signed] of content) this.owner.content.set(role, signed);
      this.owner.keys.clear();
      for (const [role, list] of keys) this.owner.keys.set(role, list);
      this.rootKey = rootKey;
      return;
    }
    // What was left out was never published.
    for (const role of this.owner.content.keys()) {
      if (files.some((file) => file.role === role)) continue;
      const old = content.get(role);
      if (old === undefined) this.owner.content.delete(role);
      else this.owner.content.set(role, old);
    }
    for (const { role } of files) if (role !== 'root') this.model.live.set(role, this.owner.signed(role));
    this.verify();
  }

  /** The first publication of a tenant with `distrust`, `reserved` and `org`. */
  async start(): Promise<void> {
    const files = this.owner.first(['distrust', 'reserved', 'org']);
    await this.tenancy.publish(files);
    for (const { role } of files) if (role !== 'root') this.model.live.set(role, this.owner.signed(role));
  }

  verify(): void {
    const { tenancy, model } = this;
    const root = tenancy.rootFiles.get(1) as Uint8Array;
    const trusted: TrustedMetadata = load(root, tenancy.files, tenancy.now);
    const seen = new Set<string>();
    for (const [role, delegator] of model.reachable()) {
      assert.ok(!seen.has(role), `${role} hangs in two places`);
      seen.add(role);
      const bytes = tenancy.files.get(servedName(role, trusted.listed(role).version)) as Uint8Array;
      trusted.updateRole(role, delegator, bytes, tenancy.now);
      assert.equal(tenancy.roles.get(role)?.delegator, delegator);
    }
    const fresh = load(root, tenancy.files, tenancy.now);
    for (const path of paths) {
      const answer = find(fresh, tenancy.files, path, tenancy.now);
      assert.equal('found' in answer ? answer.steps.at(-1)?.role : undefined, model.voucher(path), path);
    }
  }
}

type Step = (world: World) => Promise<void>;
class Command implements fc.AsyncCommand<object, World> {
  readonly #name: string;
  readonly #step: Step;
  constructor(name: string, step: Step) {
    this.#name = name;
    this.#step = step;
  }
  check = (): boolean => true;
  run = (_: object, world: World): Promise<void> => this.#step(world);
  toString = (): string => this.#name;
}

const number = fc.nat({ max: 1_000 });
const maybe = fc.option(number, { nil: undefined, freq: 4 });
const command = (
  name: string,
  step: (world: World, a: number, b: number, leave: number | undefined) => Promise<void>,
) =>
  fc
    .tuple(number, number, maybe)
    .map(
      ([a, b, leave]) =>
        new Command(`${name}(${a},${b},${leave ?? ''})`, (world) => step(world, a, b, leave)),
    );

/** What a holder may list: any path of the role's scope, or of its bin. */
function listable(world: World, role: string): string[] {
  const bin = /^bins~(.+)-[0-9a-f]+$/.exec(role)?.[1];
  const scope = scopeOfRole(bin ?? role);
  const bits = isObject(world.model.delegations(bin ?? '')['succinct_roles'])
    ? ((world.model.delegations(bin ?? '')['succinct_roles'] as JsonObject)['bit_length'] as number)
    : 0;
  return paths.filter((path) => {
    if (scope === undefined || !covers(scope, path)) return false;
    return (
      bin === undefined ||
      binName({ bitLength: bits, namePrefix: `bins~${bin}` }, binNumber(bits, path)) === role
    );
  });
}

const commands = [
  command('delegate', (world, a, b, leave) =>
    world.attempt(() => {
      const { owner } = world;
      const role = roleNames[b % roleNames.length] as string;
      const wider = [...world.tenancy.roles.keys()].filter((one) => {
        const [outer, inner] = [scopeOfRole(one), scopeOfRole(role)];
        return (
          one === 'targets' ||
          (outer !== undefined && inner !== undefined && outer !== inner && contains(outer, inner))
        );
      });
      const delegator = a % 9 === 0 ? world.role(a) : (wider[a % wider.length] as string);
      const next = owner.next(delegator, (signed) => {
        const { targets: _, delegations, ...rest } = signed;
        const kept =
          isObject(delegations) && delegations['succinct_roles'] !== undefined
            ? {}
            : { delegations: delegations ?? { keys: {}, roles: [] } };
        return withDelegation(
          { ...rest, targets: {}, ...kept },
          delegator,
          role,
          roleKeys(owner.keysOf(role)),
        );
      });
      return [next, owner.content.has(role) ? owner.next(role) : owner.create(role)];
    }, leave),
  ),
  command('undelegate', (world, a, b) =>
    world.attempt(() => {
      const delegators = [...world.tenancy.roles.keys()].filter((role) => world.model.names(role).length > 0);
      const delegator = delegators[a % delegators.length] ?? 'targets';
      const names = world.model.names(delegator);
      return [
        world.owner.next(delegator, (signed) => withoutDelegation(signed, names[b % names.length] ?? 'org')),
      ];
    }),
  ),
  command('list', (world, a, b) =>
    world.attempt(() => {
      // Mostly who may list something, sometimes anybody anything.
      const holders = world.model
        .reachable()
        .flatMap(([role]) =>
          world.model.names(role).length === 0 && listable(world, role).length > 0 ? [role] : [],
        );
      const role = a % 7 === 0 ? world.role(a) : (holders[a % holders.length] ?? 'org');
      const choice = b % 11 === 0 ? paths : listable(world, role);
      const path = choice[b % Math.max(choice.length, 1)] ?? 'c/v1';
      return [
        world.owner.next(role, (signed) => withTargets(signed, new Map([[path, target(`${role} ${b}`)]]))),
      ];
    }),
  ),
  command('unlist', (world, a, b) =>
    world.attempt(() => [
      world.owner.next(world.role(a), (signed) =>
        withoutTargets(signed, new Set([paths[b % paths.length] as string])),
      ),
    ]),
  ),
  command('sign again', (world, a, b) =>
    world.attempt(() => [...new Set([world.role(a), world.role(b)])].map((role) => world.owner.next(role))),
  ),
  command('new keys', (world, a, _, leave) =>
    world.attempt(() => {
      const role = world.role(a) === 'targets' ? 'org' : world.role(a);
      const delegator = world.tenancy.roles.get(role)?.delegator ?? 'targets';
      const keys = world.newKeys(role);
      const next = world.owner.next(delegator, (signed) =>
        withDelegation(signed, delegator, role, roleKeys(keys)),
      );
      world.owner.keys.set(role, keys);
      return [next, world.owner.next(role)];
    }, leave),
  ),
  command('new top keys', (world, a, _, leave) =>
    world.attempt(() => {
      if (a % 3 === 0) {
        const key = testKey(`root ${a}`);
        const file = world.owner.nextRootFile({ root: roleKeys([key]) }, [world.rootKey, key]);
        world.rootKey = key;
        return [file];
      }
      if (a % 3 === 1) {
        const suffix = a % 2 === 0 ? ' 2' : '';
        return [
          world.owner.nextRootFile(
            {
              snapshot: roleKeys([testKey(`snapshot${suffix}`)]),
              timestamp: roleKeys([testKey(`timestamp${suffix}`)]),
            },
            [world.rootKey],
          ),
        ];
      }
      const keys = world.newKeys('targets');
      const root = world.owner.nextRootFile({ targets: roleKeys(keys) }, [world.rootKey]);
      world.owner.keys.set('targets', keys);
      return [root, world.owner.next('targets')];
    }, leave),
  ),
  command('split', (world, a, b, leave) =>
    world.attempt(() => {
      const role = world.role(a);
      const bitLength = 1 + (b % 2);
      const files = [
        world.owner.next(role, (signed) =>
          withBins(signed, role, bitLength, roleKeys(world.owner.keysOf(role))),
        ),
      ];
      for (let i = 0; i < 2 ** bitLength; i += 1) {
        const bin = binName({ bitLength, namePrefix: `bins~${role}` }, i);
        const empty = (signed: JsonObject): JsonObject => ({ ...signed, targets: {} });
        files.push(world.owner.content.has(bin) ? world.owner.next(bin, empty) : world.owner.create(bin));
      }
      return files;
    }, leave),
  ),
  command('time passes', async (world) => {
    world.tenancy.now += 40 * day;
    // Holders renew what walks come to; what was taken back lies and expires.
    await world.attempt(() => [
      world.owner.nextRootFile({}, [world.rootKey]),
      ...world.model.reachable().map(([role]) => world.owner.next(role)),
    ]);
  }),
];

/** Delegations and entries come more often than anything else. */
export const often: fc.Arbitrary<Command>[] = [
  commands[0],
  commands[0],
  commands[0],
  commands[1],
  commands[2],
  commands[2],
  commands[2],
  ...commands,
].filter((one) => one !== undefined);
