import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getSupervisor } from 'agent-supervisor';
import { type DoctorReport, doctorHandler, toNodeListener } from 'agent-supervisor/doctor';

const supervisor = getSupervisor();
const token = process.env['DOCTOR_TOKEN'] ?? crypto.randomUUID(); // at least 16 characters
const handler = doctorHandler(supervisor, { token }); // (Request) => Promise<Response>

const server = createServer(toNodeListener(handler)).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // in a browser: the page

console.log('without the token:', (await fetch(url)).status);
const headers = { authorization: `Bearer ${token}` };
const report = (await (await fetch(url, { headers })).json()) as DoctorReport;
console.log('a report of version', report.version, 'with', report.processes.length, 'processes');
const metrics = await (await fetch(`${url}/metrics`, { headers })).text();
console.log(/^agent_supervisor_pool_slots .*/m.exec(metrics)?.[0]);
console.log('a script for the page:', (await fetch(`${url}/live.js`)).status);
server.close();
