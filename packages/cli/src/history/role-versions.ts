/** Which version of a role was live when, as the service lists it: read page by page, from the newest back. */
import type { RoleVersion } from '@mandate/api';
import type { TenantPath } from '@mandate/metadata';
import type { Service } from '../service.ts';

interface Known {
  /** Newest first. */
  readonly versions: RoleVersion[];
  /** Undefined before the first page; null when there is no more. */
  next: number | null | undefined;
}

export class RoleVersions {
  readonly #service: Service;
  readonly #tenant: TenantPath;
  readonly #roles = new Map<string, Known>();

  constructor(service: Service, tenant: TenantPath) {
    this.#service = service;
    this.#tenant = tenant;
  }

  /** The version that was live at this serial; undefined where the role did not exist yet. */
  async at(role: string, serial: number): Promise<RoleVersion | undefined> {
    let known = this.#roles.get(role);
    if (known === undefined) {
      known = { versions: [], next: undefined };
      this.#roles.set(role, known);
    }
    for (;;) {
      const found = known.versions.find((one) => one.serial <= serial);
      if (found !== undefined || known.next === null) return found;
      const page = await this.#service.roleVersions(this.#tenant, role, known.next);
      known.versions.push(...page.versions);
      known.next = page.next ?? null;
    }
  }
}
