/** A tenant that was just created, proposed to the one above it; or what the holders of that one's keys have to run. */
import { parentTenant, type TenantPath } from '@mandate/metadata';
import type { Context } from '../context.ts';
import { discover } from '../discovery.ts';
import { failureOf } from '../failure.ts';
import type { Outcome } from '../outcome.ts';
import { findTenant, loadTrust, serviceOf } from '../trust.ts';
import { runAnchor } from './tenant-anchor.ts';

/** Whether somebody is there to anchor it: a tenant above another is, a registry tenant only where there is one. */
async function hasParent(parent: TenantPath, serviceUrl: string | undefined): Promise<boolean> {
  if (parent !== '/') return true;
  return serviceUrl !== undefined && (await discover(serviceUrl))?.registry !== undefined;
}

/** A private tenant is proposed nowhere: a proposal would name it. What the holders of the keys above have to run. */
export async function withPrivateAnchor(
  context: Context,
  child: TenantPath,
  created: Outcome,
): Promise<Outcome> {
  const above = parentTenant(child);
  const trusted = findTenant(await loadTrust(context), child);
  const service = trusted && serviceOf(trusted);
  if (above === undefined || !(await hasParent(above.parent, service))) return created;
  const { genesis } = created.json as { readonly genesis: string };
  const byHand = `the holders of the tenants keys of ${above.parent}, each with a reader's grant for ${child}, anchor it: mandate tenant anchor ${child} --private --genesis ${genesis}${service === undefined ? '' : ` --url ${service}`}`;
  return { ...created, hints: [...(created.hints ?? []), byHand] };
}

/** The tenant is there whatever becomes of its anchor, so trouble is said and fails nothing. */
export async function withAnchor(
  context: Context,
  child: TenantPath,
  created: Outcome,
  { yes = false, json = false }: { readonly yes?: boolean; readonly json?: boolean },
): Promise<Outcome> {
  const above = parentTenant(child);
  const known = await loadTrust(context);
  const trusted = findTenant(known, child);
  if (above === undefined || trusted === undefined) return created;
  const { parent } = above;
  const service = serviceOf(trusted);
  const { genesis } = created.json as { readonly genesis: string };
  const byHand = `the holders of the tenants keys of ${parent} anchor it: mandate tenant anchor ${child} --genesis ${genesis}${service === undefined ? '' : ` --url ${service}`}`;
  if (findTenant(known, parent) === undefined) {
    if (!(await hasParent(parent, service))) return created;
    return { ...created, hints: [...(created.hints ?? []), byHand] };
  }
  try {
    const options = { yes, json, propose: true, message: `anchor of the new tenant ${child}` };
    const anchored = await runAnchor(context, child, options);
    return {
      ...created,
      text: `${created.text}\n${anchored.text}`,
      json: { ...(created.json as object), anchor: anchored.json },
      hints: [...(created.hints ?? []), ...(anchored.hints ?? [])],
    };
  } catch (error) {
    const { code, message } = failureOf(error);
    context.terminal.note(
      `warning: ${child} is created, and not anchored in ${parent}: ${message} (${code})`,
    );
    return { ...created, hints: [...(created.hints ?? []), byHand] };
  }
}
