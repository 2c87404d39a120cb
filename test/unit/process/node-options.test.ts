// What NODE_OPTIONS loses, judged by Node's own rules for its quotes.
import { describe, expect, it } from 'vitest';
import { withoutInspector } from '../../../src/process/node-options.ts';

const BOOTLOADERS = [
  '/usr/share/code/resources/app/extensions/ms-vscode.js-debug/src/bootloader.js',
  '"/home/me/.config/Code/User/workspaceStorage/1f/ms-vscode.js-debug/bootloader.js"',
  '"/Applications/Visual Studio Code.app/Contents/Resources/app/extensions/ms-vscode.js-debug/src/bootloader.js"',
  '"c:\\\\Program Files\\\\Microsoft VS Code\\\\resources\\\\app\\\\extensions\\\\ms-vscode.js-debug\\\\src\\\\bootloader.js"',
  '/tmp/vscode-js-debug-bootloader.js',
];

describe('withoutInspector', () => {
  it.each([
    ['--inspect', ['--inspect']],
    ['--inspect=127.0.0.1:0', ['--inspect']],
    ['--inspect-brk', ['--inspect-brk']],
    ['--inspect-wait=9230', ['--inspect-wait']],
    ['--inspect_brk=0', ['--inspect-brk']],
    ['--inspect-port 9230', ['--inspect-port']],
    ['--debug-port=9230', ['--debug-port']],
    ['--inspect-publish-uid stderr,http', ['--inspect-publish-uid']],
    ['"--inspect=localhost:0"', ['--inspect']],
    ['--ins"pect"', ['--inspect']],
    ['--inspect --inspect-port=0 --inspect', ['--inspect', '--inspect-port']],
    ...BOOTLOADERS.flatMap((path): [string, string[]][] => [
      [`--require ${path}`, ['--require']],
      [`-r ${path}`, ['-r']],
      [`--require=${path}`, ['--require']],
    ]),
  ])('drops %s, wherever it stands', (options, dropped) => {
    expect(withoutInspector(options)).toEqual({ rest: '', dropped });
    const others = '--max-old-space-size=99';
    const tail = '--title "a b"';
    for (const value of [`${options} ${others}`, `${others}  ${options}`])
      expect(withoutInspector(value)).toEqual({ rest: others, dropped });
    expect(withoutInspector(`${others} ${options} ${tail}`).rest).toBe(`${others} ${tail}`);
  });

  it.each([
    '',
    ' ',
    '--max-old-space-size=4096',
    '--no-inspect',
    '--inspector',
    '--experimental-network-inspection',
    '--title=--inspect',
    '--title "a --inspect b"',
    '--title "say \\"--inspect\\" --inspect"',
    '--require ./inspect.js  -r "/my code/bootloader.js"',
    '--require /srv/js-debug/register.js',
    '--import "data:text/javascript,1"',
    '--title "never closed --inspect',
  ])('leaves %j to the letter', (value) => {
    expect(withoutInspector(value)).toEqual({ rest: value, dropped: [] });
  });

  it('keeps the quotes of what stays', () => {
    expect(withoutInspector('--require "/a b/c\\"d.js" --inspect --title x\\y').rest).toBe(
      '--require "/a b/c\\"d.js" --title x\\y',
    );
  });
});
