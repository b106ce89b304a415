export const packageName = 'signing';
