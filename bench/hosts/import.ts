// A fresh process that imports what its arguments name, and prints how many ms that took.
const beganMs = performance.now();
await Promise.all(process.argv.slice(2).map((specifier) => import(specifier)));
console.log(performance.now() - beganMs);
