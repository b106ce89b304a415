export const packageName = 'metadata';
