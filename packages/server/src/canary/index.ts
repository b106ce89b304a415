/** The canary. Apart from the service: neither loads the other. */
export { comparePath, type Answer, type CheckResult, type Finding } from './answer.ts';
export { outcomeOf, runCanaryOnce, startCanary, type RoundReport, type RunningCanary } from './canary.ts';
export {
  defaultCanaryConfig,
  type CanaryConfig,
  type CanaryTenant,
  type CanaryWebhook,
} from './canary-config.ts';
export { parseWebhookSecret } from '../webhook-signature.ts';
