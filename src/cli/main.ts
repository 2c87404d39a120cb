#!/usr/bin/env node
import { systemTerminal } from '../os/terminal.ts';
import { execute } from './execute.ts';

await execute(systemTerminal());
