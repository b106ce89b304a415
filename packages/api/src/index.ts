/** Requests and responses of the Mandate service: one source for server, typed client and OpenAPI. */
export * from './audit.ts';
export * from './checkpoint.ts';
export * from './code.ts';
export * from './discovery.ts';
export * from './endpoint.ts';
export * from './feed.ts';
export * from './grant.ts';
export * from './limits.ts';
export * from './managed-key.ts';
export * from './openapi.ts';
export * from './problem.ts';
export * from './proposal.ts';
export * from './publication.ts';
export * from './restore.ts';
export * from './tenant.ts';
export * from './token.ts';
export * from './webhook.ts';
