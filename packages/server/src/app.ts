/** The HTTP face beside `/tuf`: the API, its description, health and metrics. */
import { randomUUID } from 'node:crypto';
import { Router } from '@koa/router';
import {
  apiLimits,
  discoveryOf,
  discoveryPath,
  discoverySeconds,
  endpoints,
  openApiDocument,
  problemMediaType,
  type Endpoint,
  type LoginOffer,
  type OperationId,
} from '@mandate/api';
import Koa, { type Context } from 'koa';
import type { ApiHandlers } from './api-handler.ts';
import type { Authenticator } from './authenticator.ts';
import type { Caller } from './caller.ts';
import { hasCode, ServerError } from './error.ts';
import { answerUnread } from './lingering-close.ts';
import { describeError, type Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { problemOf } from './problem.ts';
import type { FailingKey } from './service-keys.ts';
import type { RequestLimits } from './request-limit.ts';
import type { WriteGate } from './write-gate.ts';

export interface AppOptions {
  readonly handlers: ApiHandlers<OperationId>;
  readonly authenticator: Authenticator;
  readonly limits: RequestLimits;
  readonly metrics: Metrics;
  /** Whether metrics are for anyone, not for operators alone. */
  readonly openMetrics: boolean;
  readonly log: Logger;
  /** Before every write under `/v1`. */
  readonly gate: WriteGate;
  /** Rejects where the service cannot work now. */
  readonly checkReady: () => Promise<{ readonly status: 'ready' | 'read-only' }>;
  /** Keys of the service that do not sign: trouble of single tenants, which makes nobody else wait. */
  readonly failingKeys: () => readonly FailingKey[];
  readonly version: string;
  /** A request that may have changed something was answered. */
  readonly onWrite: () => void;
  /** Path that the service is reached below; empty for none. */
  readonly basePath: string;
  /** Whether anyone may read a registry tenant here. */
  readonly hasRegistry: () => Promise<boolean>;
  /** Where people log in. */
  readonly logins: readonly LoginOffer[];
}

interface State {
  requestId: string;
  operation: string;
  tokenId?: string;
}

type AppContext = Context & { state: State };

/** No route, and no route for this method, end without a body. */
function missing(status: number): ServerError | undefined {
  if (status === 404) return new ServerError('NOT_FOUND', 'there is nothing at this address');
  if (status === 405 || status === 501) {
    return new ServerError('METHOD_NOT_ALLOWED', 'this address does not take this method');
  }
  return undefined;
}

function writeProblem(context: AppContext, error: unknown, log: Logger): void {
  const problem = problemOf(error, context.state.requestId);
  if (problem.status >= 500) {
    log.error({ requestId: context.state.requestId, error: describeError(error) }, 'request failed');
  }
  context.status = problem.status;
  const body = JSON.stringify(problem);
  context.body = body;
  context.type = problemMediaType;
  if (problem.status === 401) context.set('WWW-Authenticate', 'Bearer');
  const retryAfter = error instanceof ServerError ? error.retryAfterSeconds : undefined;
  if (retryAfter !== undefined) context.set('Retry-After', String(retryAfter));
  else if (problem.status === 503 || problem.status === 429) context.set('Retry-After', '1');
  // A short body that was not read is skipped; a long one is not waited for.
  const { 'content-length': length, 'transfer-encoding': chunked } = context.req.headers;
  if (chunked !== undefined || Number(length ?? 0) > apiLimits.bodyBytes) {
    context.set('Connection', 'close');
    context.respond = false;
    answerUnread(context.req, context.res, body);
  }
}

function described({ tenant, purpose, code, sinceMs }: FailingKey): object {
  return { tenant, role: purpose, code, since: new Date(sinceMs).toISOString() };
}

export function createApp(options: AppOptions): Koa {
  const { handlers, authenticator, limits, metrics, log } = options;
  const app = new Koa();
  app.on('error', (error: unknown) => log.warn({ error: describeError(error) }, 'response failed'));

  app.use(async (plain, next) => {
    const context = plain as AppContext;
    const start = performance.now();
    context.state = { requestId: randomUUID(), operation: 'none' };
    context.set('X-Request-Id', context.state.requestId);
    context.set('Cache-Control', 'no-store');
    context.set('X-Content-Type-Options', 'nosniff');
    try {
      await next();
      const error = context.body === undefined || context.body === null ? missing(context.status) : undefined;
      if (error !== undefined) writeProblem(context, error, log);
    } catch (error) {
      writeProblem(context, error, log);
    }
    const { operation, requestId, tokenId } = context.state;
    const ms = performance.now() - start;
    if (operation === 'none') return;
    metrics.request(operation, context.status, ms / 1000);
    log.info(
      { requestId, operation, path: context.path, status: context.status, tokenId, ms: Math.round(ms) },
      'request',
    );
  });

  async function admit(context: AppContext): Promise<Caller> {
    await limits.admitAddress(context.req);
    let caller: Caller;
    try {
      caller = await authenticator.authenticate(context.get('Authorization') || undefined);
    } catch (error) {
      if (hasCode(error, 'UNAUTHENTICATED')) await limits.countRefusal(context.req);
      throw error;
    }
    context.state.tokenId = caller.tokenId;
    await limits.admitCaller(caller);
    return caller;
  }

  const router = new Router();
  const openApi = JSON.stringify(openApiDocument(options.version));
  router.get('/healthz', (context) => {
    context.body = { status: 'ok' };
  });
  router.get('/readyz', async (context) => {
    const { status } = await options.checkReady();
    const failing = options.failingKeys();
    context.body = { status };
    if (context.get('Authorization') === '') return;
    // Names of tenants are for operators, and so is their number: private ones count. Whoever else asks hears whether it
    // is ready, with a good token or a bad one.
    const caller = await admit(context).catch((error: unknown) => {
      if (hasCode(error, 'UNAUTHENTICATED')) return undefined;
      throw error;
    });
    if (caller?.operator === true)
      context.body = { status, failingKeys: failing.length, failing: failing.map(described) };
  });
  router.get(discoveryPath, async (context) => {
    context.body = discoveryOf(options.basePath, await options.hasRegistry(), options.logins);
    context.set('Cache-Control', `public, max-age=${discoverySeconds}`);
  });
  router.get('/metrics', async (plain) => {
    const context = plain as unknown as AppContext;
    if (!options.openMetrics && !(await admit(context)).operator)
      throw new ServerError('FORBIDDEN', 'metrics tell of every tenant; they are for operators');
    context.body = await metrics.text();
    context.set('Content-Type', metrics.contentType);
  });
  router.get('/v1/openapi.json', (context) => {
    context.body = openApi;
    context.type = 'application/json';
  });
  for (const [operation, endpoint] of Object.entries(endpoints) as [OperationId, Endpoint][]) {
    const path = endpoint.path.replaceAll(/\{(\w+)\}/g, ':$1');
    router.register(path, [endpoint.method], async (plain) => {
      const context = plain as unknown as AppContext & { params: Record<string, string> };
      context.state.operation = operation;
      const caller = await admit(context);
      if (endpoint.method !== 'GET')
        await options.gate.requireOpen(operation, caller, context.params['slug']);
      const answer = await handlers[operation]({ caller, parameters: context.params, message: context.req });
      context.status = answer.status;
      if (answer.headers !== undefined) context.set(answer.headers);
      if (answer.body !== undefined) context.body = answer.body;
      if (endpoint.method !== 'GET') options.onWrite();
    });
  }
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}
