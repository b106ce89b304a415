/** Several people on machines of their own, who hold one key each of a role. */
import type { Person, World } from './world.ts';

/** What every command tells of a proposal. */
export interface Progress {
  readonly number: number;
  readonly state: string;
  readonly complete: boolean;
  readonly requirements: readonly {
    readonly role: string;
    readonly by: string;
    readonly threshold: number;
    readonly distinct: number;
    readonly missing: readonly string[];
  }[];
}

export interface Team {
  readonly tenant: string;
  readonly genesis: string;
  /** The first made the tenant and holds `release` and `org` as well. */
  readonly people: readonly Person[];
}

/** Somebody who trusts a tenant and is not logged in anywhere. @param url where they read it */
export async function reader(
  world: World,
  { tenant, genesis }: Pick<Team, 'tenant' | 'genesis'>,
  url: string = world.url,
): Promise<Person> {
  const person = world.person();
  await person.do('trust', 'add', tenant, '--url', url, '--genesis', genesis, '--no-check');
  return person;
}

/** A tenant where `threshold` of these people sign for repository `vault`, each with the key of their name. */
export async function team(
  world: World,
  tenant: string,
  names: readonly string[],
  threshold: number,
): Promise<Team> {
  const founder = await world.tenant(tenant);
  const { genesis } = await founder.json<{ genesis: string }>('tenant', 'show', tenant);
  const people: Person[] = [];
  const keys: string[] = [];
  for (const name of names) {
    const person = people.length === 0 ? founder : await reader(world, { tenant, genesis });
    if (person !== founder) await person.do('login', world.url, '--token-file', world.tokenFile);
    await person.do('key', 'generate', name);
    const { stdout } = await person.do('key', 'export', name);
    keys.push(founder.file(`${name}.pub.json`, stdout));
    people.push(person);
  }
  const chosen = keys.flatMap((file) => ['--key', file]);
  // The first file of the role takes the signatures of its own keys: those who hold them sign the proposal.
  const { proposal } = await founder.json<{ proposal?: Progress }>(
    'delegate',
    tenant,
    'vault',
    ...chosen,
    '--threshold',
    String(threshold),
    '--sign-with',
    'release',
    '--sign-with',
    names[0] ?? '',
  );
  if (proposal !== undefined)
    for (const person of people.slice(1, threshold))
      await person.do('proposal', 'sign', tenant, String(proposal.number));
  return { tenant, genesis, people };
}

/** The arguments that sign content as `vault:<tag>`. */
export function signVault(person: Person, tenant: string, tag: string): string[] {
  return ['sign', '--tenant', tenant, '--name', `vault:${tag}`, person.file(`vault-${tag}`, tag)];
}

export async function verdictOf(person: Person, tenant: string, tag: string): Promise<string> {
  const file = person.file(`vault-${tag}`, tag);
  return (await person.verdict('--tenant', tenant, '--name', `vault:${tag}`, file)).code;
}
