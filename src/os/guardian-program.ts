/**
 * The program of the guardian that is not a shell (containment/guardian-process.ts). The build puts
 * its whole text here instead (scripts/bundle.ts).
 */
export const guardianProgram = (): string => {
  const path = new URL('../containment/guardian-process.ts', import.meta.url);
  return `await import(${JSON.stringify(path)});`;
};
