export const packageName = 'oci';
