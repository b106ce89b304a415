/** The keys of this machine, found by what a role asks for. Each is opened once, and only when it signs. */
import { listKeys, openSigner, type KeyRecord, type PassphraseSource, type Signer } from '@mandate/signing';
import { keyIdOf, type KeyId, type KeySet, type PublicKey } from '@mandate/metadata';
import { CliError } from './error.ts';
import { keyText, type Names } from './key-id.ts';
import type { NamedKey } from './named-key.ts';
import { isPublicFile, loadPublicKey } from './public-key.ts';

export interface KeyringOptions {
  readonly keyFolder: string;
  readonly passphrase: PassphraseSource;
  /** Names or URIs: only these are used. Empty: every key of the folder that fits. */
  readonly chosen: readonly string[];
  /** These are used as well. */
  readonly also: readonly string[];
  /** Keys of other people that have a name on this machine. */
  readonly named: () => Promise<readonly NamedKey[]>;
}

export class Keyring {
  readonly #options: KeyringOptions;
  readonly #opened = new Map<string, Promise<Signer>>();
  #records: Promise<readonly KeyRecord[]> | undefined;
  #found: Promise<ReadonlyMap<string, string>> | undefined;

  constructor(options: KeyringOptions) {
    this.#options = options;
  }

  /** The signer of a key by name or URI. @throws SigningError */
  open(nameOrUri: string): Promise<Signer> {
    let signer = this.#opened.get(nameOrUri);
    if (signer === undefined) {
      const { keyFolder, passphrase } = this.#options;
      signer = openSigner(nameOrUri, { keyFolder, passphrase });
      this.#opened.set(nameOrUri, signer);
    }
    return signer;
  }

  /** Lets go of tokens, sessions and connections. */
  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#opened.values());
    for (const one of opened) {
      if (one.status === 'fulfilled') await one.value.close?.();
    }
  }

  /**
   * A public key by name, URI, or `<file>.pub.json`, the public record of somebody else's key. A name is looked up
   * without opening the private key; it may be one that somebody else's key has here.
   */
  async publicKey(nameOrUri: string): Promise<PublicKey> {
    if (isPublicFile(nameOrUri)) return loadPublicKey(nameOrUri);
    if (nameOrUri.includes(':')) return (await this.open(nameOrUri)).publicKey;
    const record = (await this.#allRecords()).find(({ name }) => name === nameOrUri);
    const theirs = record === undefined ? await this.#theirs(nameOrUri) : undefined;
    return (record ?? theirs)?.publicKey ?? (await this.open(nameOrUri)).publicKey;
  }

  /** What this machine calls keys: its own by their name, those of others so that nobody takes it for a fact. */
  async names(): Promise<Names> {
    const theirs = await this.#options.named();
    const called: [PublicKey, string][] = [
      ...theirs.map(({ name, publicKey }): [PublicKey, string] => [publicKey, `${name}, as named here`]),
      ...(await this.#allRecords()).map(({ name, publicKey }): [PublicKey, string] => [publicKey, name]),
    ];
    return new Map(
      called.flatMap(([key, name]) => [
        [key.thumbprint, name],
        [keyIdOf(key), name],
      ]),
    );
  }

  /** A key that is called so and is not of this machine. */
  async #theirs(name: string): Promise<NamedKey | undefined> {
    if ((await this.#allRecords()).some((record) => record.name === name)) return undefined;
    return (await this.#options.named()).find((one) => one.name === name);
  }

  #allRecords(): Promise<readonly KeyRecord[]> {
    this.#records ??= listKeys(this.#options.keyFolder);
    return this.#records;
  }

  /** Candidates by key material, what they are opened by; URIs are opened to know. */
  #candidates(): Promise<ReadonlyMap<string, string>> {
    this.#found ??= this.#findCandidates();
    return this.#found;
  }

  async #findCandidates(): Promise<ReadonlyMap<string, string>> {
    const { chosen, also } = this.#options;
    const own = chosen.length > 0 ? chosen : (await this.#allRecords()).map(({ name }) => name as string);
    const theirs = await Promise.all([...own, ...also].map((name) => this.#theirs(name)));
    const others = new Set<string>(theirs.flatMap((one) => one?.name ?? []));
    const names = [...new Set([...own, ...also])].filter((name) => !isPublicFile(name) && !others.has(name));
    const keys = await Promise.all(
      names.map(async (name) => [(await this.publicKey(name)).thumbprint, name] as const),
    );
    return new Map(keys);
  }

  /** Whether enough of the role's keys are here. */
  async has(keySet: KeySet): Promise<boolean> {
    const candidates = await this.#candidates();
    const fitting = [...keySet.keys.values()]
      .map(({ thumbprint }) => thumbprint)
      .filter((one) => candidates.has(one));
    return new Set(fitting).size >= keySet.threshold;
  }

  /** Whether some key of the role is here. */
  async hasSome(keySet: KeySet): Promise<boolean> {
    const candidates = await this.#candidates();
    return [...keySet.keys.values()].some(({ thumbprint }) => candidates.has(thumbprint));
  }

  /**
   * As many signers as the role needs, each under the key id that the role knows it by.
   *
   * @throws CliError NO_KEY, naming the role and its keys
   */
  async signersFor(keySet: KeySet, role: string): Promise<readonly Signer[]> {
    await this.require(keySet, role);
    return this.signersAtHand([{ keySet, signed: [] }]);
  }

  /** @throws CliError NO_KEY where fewer keys of the role are here than it needs */
  async require(keySet: KeySet, role: string): Promise<void> {
    if (!(await this.has(keySet))) throw await this.missing(keySet, role);
  }

  /**
   * The signers that are here for one file, no more than its thresholds still miss.
   *
   * @param thresholds all that the file has to meet, with the key ids that signed it already
   */
  async signersAtHand(
    thresholds: readonly { readonly keySet: KeySet; readonly signed: readonly KeyId[] }[],
  ): Promise<readonly Signer[]> {
    const candidates = await this.#candidates();
    const chosen = new Map<string, KeyId>();
    for (const { keySet, signed } of thresholds) {
      const have = new Set(signed.map((keyId) => keySet.keys.get(keyId)?.thumbprint));
      for (const [keyId, { thumbprint }] of keySet.keys) {
        if (chosen.has(thumbprint)) have.add(thumbprint);
        else if (have.size < keySet.threshold && !have.has(thumbprint) && candidates.has(thumbprint)) {
          chosen.set(thumbprint, keyId);
          have.add(thumbprint);
        }
      }
    }
    const signers: Signer[] = [];
    // One after another: each may ask for its passphrase.
    for (const [thumbprint, keyId] of chosen)
      signers.push(known(await this.open(candidates.get(thumbprint) as string), keyId));
    return signers;
  }

  /** What to say where the keys of a role are not here. */
  async missing(keySet: KeySet, role: string): Promise<CliError> {
    const names = await this.names();
    const candidates = await this.#candidates();
    const materials = new Set([...keySet.keys.values()].map(({ thumbprint }) => thumbprint));
    const have = [...materials].filter((one) => candidates.has(one)).length;
    const shown = [...keySet.keys].map(([keyId, key]) => keyText(keyId, key, names));
    const chosen = this.#options.chosen.length > 0 ? ' with the keys that --key names' : ' on this machine';
    return new CliError(
      'NO_KEY',
      `role ${role} is signed by ${keySet.threshold} of its ${keySet.keys.size} keys, ${shown.join(', ')}; ${have} can sign${chosen}`,
      {
        role,
        keys: [...keySet.keys.keys()],
        next: 'run this where those keys are, bring one here with mandate key import <name> <file>, or ask their holders with --propose',
      },
    );
  }
}

function known(signer: Signer, keyId: KeyId): Signer {
  if (signer.keyId === keyId) return signer;
  return { uri: signer.uri, publicKey: signer.publicKey, keyId, sign: (message) => signer.sign(message) };
}
