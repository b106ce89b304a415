/** What a principal may do, in words. */
import type { Token } from '@mandate/api';

export function mayOf({ operator, grants }: Token): string {
  const each = grants.map(({ tenant, level, inherit }) =>
    inherit === true ? `${level} of ${tenant} and below` : `${level} of ${tenant}`,
  );
  return [...(operator ? ['operator'] : []), ...each].join(', ') || 'no grants yet';
}
