// What an app keeps out of its main process; it ends with its stdin.
import { createInterface } from 'node:readline';

for await (const line of createInterface({ input: process.stdin }))
  console.log(`the square of ${line} is ${Number(line) ** 2}`);
