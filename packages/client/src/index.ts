export const packageName = 'client';
