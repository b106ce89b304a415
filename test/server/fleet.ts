/** Service processes that are killed and come back, as an orchestrator keeps them. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnService, type ServiceProcess } from './spawn.ts';

/** What a process is started with. */
export interface Launch {
  readonly environment: Readonly<Record<string, string>>;
  /** The program of another version. */
  readonly main?: string;
}

interface Place {
  launch: Launch;
  process: ServiceProcess;
  /** While it is away: resolves when it is back. */
  back: Promise<void> | undefined;
}

export class Fleet {
  readonly #places: readonly Place[];
  kills = 0;

  private constructor(places: readonly Place[]) {
    this.#places = places;
  }

  static async start(launches: readonly Launch[]): Promise<Fleet> {
    const places: Place[] = [];
    // The first one brings the schema.
    for (const launch of launches)
      places.push({ launch, process: await spawnService(launch.environment, launch), back: undefined });
    return new Fleet(places);
  }

  get size(): number {
    return this.#places.length;
  }

  #place(i: number): Place {
    const found = this.#places[i];
    assert.ok(found !== undefined);
    return found;
  }

  /** Where a process serves, or served last. */
  url(i: number): string {
    return this.#place(i).process.url;
  }

  /** Any of them, as behind a load balancer that knows nothing. */
  any(): string {
    return this.url(Math.floor(Math.random() * this.size));
  }

  /** Kills one that is up; it starts again at once, over and over until it starts. */
  async kill(i: number): Promise<void> {
    const place = this.#place(i);
    await place.back;
    await place.process.kill('SIGKILL');
    this.kills += 1;
    place.back = this.#again(place);
  }

  async #again(place: Place): Promise<void> {
    for (;;) {
      try {
        place.process = await spawnService(place.launch.environment, { ...place.launch, log: 'ignore' });
        return;
      } catch {
        // It does not start without its database.
        await sleep(100);
      }
    }
  }

  /** Another one takes its place, once it serves; the old one ends what is under way. */
  async replace(i: number, launch: Launch): Promise<void> {
    const place = this.#place(i);
    const before = place.process;
    place.process = await spawnService(launch.environment, launch);
    place.launch = launch;
    await before.kill('SIGTERM');
  }

  async up(i: number): Promise<void> {
    await this.#place(i).back;
  }

  async close(): Promise<void> {
    for (const { back } of this.#places) await back;
    await Promise.all(this.#places.map(({ process }) => process.kill('SIGTERM')));
  }
}
