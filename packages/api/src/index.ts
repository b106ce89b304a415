export const packageName = 'api';
