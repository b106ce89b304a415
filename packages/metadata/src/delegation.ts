/** Delegations of a targets role (TUF specification 4.5, TAP 15), and the index that finds those that match a path. */
import { hash } from 'node:crypto';
import { malformed, MetadataError } from './error.ts';
import { isObject, member, type JsonObject, type JsonValue } from './json.ts';
import type { KeyId, PublicKey } from './key.ts';
import { limits } from './limits.ts';
import { PathIndex } from './path-index.ts';
import { countMember, textMember } from './signed.ts';
import { parseKeys, parseKeySet, type KeySet } from './threshold.ts';

/** One delegated role. */
export interface Delegation {
  readonly name: string;
  readonly keySet: KeySet;
  readonly terminating: boolean;
  /** Exactly one of `paths` and `hashPrefixes` is set; a bin has neither. */
  readonly paths: readonly string[] | undefined;
  readonly hashPrefixes: readonly string[] | undefined;
}

/** TAP 15: 2^bitLength roles named `<prefix>-<hex>`, chosen by the hash of the path. */
export interface SuccinctBins {
  readonly keySet: KeySet;
  /** 1 to 32. */
  readonly bitLength: number;
  readonly namePrefix: string;
}

export interface Delegations {
  readonly keys: ReadonlyMap<KeyId, PublicKey>;
  /** In the signed order; empty where `bins` is set. */
  readonly roles: readonly Delegation[];
  readonly bins: SuccinctBins | undefined;
  /** Delegations that match a path, in the signed order. */
  matching(path: string): readonly Delegation[];
  /** The delegation of that name, bins included. */
  named(name: string): Delegation | undefined;
}

const reservedNames = new Set(['root', 'timestamp', 'snapshot', 'targets']);

function checkRoleName(name: string): void {
  if (name === '' || name.length > limits.roleNameBytes || Buffer.byteLength(name) > limits.roleNameBytes)
    throw malformed('NAME', 'a role name is empty or too long');
  if (reservedNames.has(name)) throw malformed('NAME', `a delegated role cannot be called ${name}`);
}

function textList(value: JsonValue | undefined, what: string): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    throw malformed('SHAPE', `"${what}" is a list of text`);
  return value as readonly string[];
}

function parseDelegation(value: JsonValue, keys: ReadonlyMap<KeyId, PublicKey>): Delegation {
  if (!isObject(value)) throw malformed('SHAPE', 'a delegated role is an object');
  const name = textMember(value, 'name');
  checkRoleName(name);
  const terminating = member(value, 'terminating');
  if (typeof terminating !== 'boolean') throw malformed('SHAPE', '"terminating" is true or false');
  const paths = textList(member(value, 'paths'), 'paths');
  const hashPrefixes = textList(member(value, 'path_hash_prefixes'), 'path_hash_prefixes');
  if ((paths === undefined) === (hashPrefixes === undefined))
    throw malformed('SHAPE', 'a delegated role has paths or path_hash_prefixes');
  if (hashPrefixes?.some((prefix) => !/^[0-9a-f]{1,64}$/.test(prefix)) === true) {
    throw malformed('SHAPE', 'a hash prefix is 1 to 64 lower-case hex digits');
  }
  return { name, keySet: parseKeySet(value, keys), terminating, paths, hashPrefixes };
}

function parseBins(value: JsonObject, keys: ReadonlyMap<KeyId, PublicKey>): SuccinctBins {
  const bitLength = countMember(value, 'bit_length', 1);
  if (bitLength > limits.binsBitLength) throw malformed('SHAPE', '"bit_length" is 1 to 32');
  const namePrefix = textMember(value, 'name_prefix');
  checkRoleName(namePrefix);
  return { keySet: parseKeySet(value, keys), bitLength, namePrefix };
}

/** `<prefix>-<number in hex, padded to the digits of the last one>` (TAP 15). */
export function binName(
  { bitLength, namePrefix }: Pick<SuccinctBins, 'bitLength' | 'namePrefix'>,
  number: number,
): string {
  return `${namePrefix}-${number.toString(16).padStart(Math.ceil(bitLength / 4), '0')}`;
}

/** The bin of a path: the leading bits of its SHA-256. */
export function binNumber(bitLength: number, path: string): number {
  return Number.parseInt(hash('sha256', path, 'hex').slice(0, 8), 16) >>> (32 - bitLength);
}

/** @throws MetadataError MALFORMED or LIMIT_EXCEEDED. */
export function parseDelegations(value: JsonValue): Delegations {
  if (!isObject(value)) throw malformed('SHAPE', '"delegations" is an object');
  const keys = parseKeys(member(value, 'keys'));
  const list = member(value, 'roles');
  const succinct = member(value, 'succinct_roles');
  if ((list === undefined) === (succinct === undefined))
    throw malformed('SHAPE', 'delegations have roles or succinct_roles');
  if (succinct !== undefined) {
    if (!isObject(succinct)) throw malformed('SHAPE', '"succinct_roles" is an object');
    return new BinDelegations(keys, parseBins(succinct, keys));
  }
  if (!Array.isArray(list)) throw malformed('SHAPE', '"roles" is a list');
  if (list.length > limits.delegations) {
    throw new MetadataError('LIMIT_EXCEEDED', 'COUNT', `more than ${limits.delegations} delegated roles`);
  }
  const roles = (list as readonly JsonValue[]).map((role) => parseDelegation(role, keys));
  return new RoleDelegations(keys, roles);
}

class BinDelegations implements Delegations {
  readonly keys: ReadonlyMap<KeyId, PublicKey>;
  readonly bins: SuccinctBins;
  readonly roles = [];

  constructor(keys: ReadonlyMap<KeyId, PublicKey>, bins: SuccinctBins) {
    this.keys = keys;
    this.bins = bins;
  }

  #delegation(name: string): Delegation {
    // As python-tuf and tuf-js have it; the draft of TAP 15 says that bins are not terminating.
    return { name, keySet: this.bins.keySet, terminating: true, paths: undefined, hashPrefixes: undefined };
  }

  matching(path: string): readonly Delegation[] {
    return [this.#delegation(binName(this.bins, binNumber(this.bins.bitLength, path)))];
  }

  named(name: string): Delegation | undefined {
    const suffix = name.startsWith(`${this.bins.namePrefix}-`)
      ? name.slice(this.bins.namePrefix.length + 1)
      : '';
    if (!/^[0-9a-f]{1,8}$/.test(suffix)) return undefined;
    const number = Number.parseInt(suffix, 16);
    const exists = number < 2 ** this.bins.bitLength && binName(this.bins, number) === name;
    return exists ? this.#delegation(name) : undefined;
  }
}

class RoleDelegations implements Delegations {
  readonly keys: ReadonlyMap<KeyId, PublicKey>;
  readonly roles: readonly Delegation[];
  readonly bins = undefined;
  readonly #byName: ReadonlyMap<string, Delegation>;
  readonly #paths = new PathIndex();
  /** Indexes of roles by hash prefix. */
  readonly #prefixes = new Map<string, number[]>();
  readonly #prefixLengths: readonly number[];

  constructor(keys: ReadonlyMap<KeyId, PublicKey>, roles: readonly Delegation[]) {
    this.keys = keys;
    this.roles = roles;
    const byName = new Map<string, Delegation>();
    for (const role of roles) byName.set(role.name, role);
    this.#byName = byName;
    if (this.#byName.size !== roles.length) throw malformed('SHAPE', 'a role is delegated twice in one file');
    for (const [index, role] of roles.entries()) {
      for (const path of role.paths ?? []) this.#paths.add(path, index);
      for (const prefix of role.hashPrefixes ?? []) {
        const at = this.#prefixes.get(prefix);
        if (at === undefined) this.#prefixes.set(prefix, [index]);
        else at.push(index);
      }
    }
    this.#prefixLengths = [...new Set([...this.#prefixes.keys()].map((prefix) => prefix.length))];
  }

  matching(path: string): readonly Delegation[] {
    const found = new Set(this.#paths.find(path));
    if (this.#prefixLengths.length > 0) {
      const pathHash = hash('sha256', path, 'hex');
      for (const length of this.#prefixLengths) {
        for (const index of this.#prefixes.get(pathHash.slice(0, length)) ?? []) found.add(index);
      }
    }
    return [...found].sort((a, b) => a - b).map((index) => this.roles[index] as Delegation);
  }

  named(name: string): Delegation | undefined {
    return this.#byName.get(name);
  }
}
