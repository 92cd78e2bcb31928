// Runs every case in a browser context of its own, one line each.
'use strict';
const { chromium } = require('playwright-core');
const { startSandbox, startEmpty, startSite } = require('./server.js');

const CASE_MS_MAX = 20_000;
const APP = 'MINIBROWSER00000001';
const CUSTOMER = '2160000000000001';

const cases = ['consent', 'console', 'looks', 'console_looks'].flatMap((file) => require(`./${file}.js`));
cases.push(require('./pictures.js').proof);

async function main([binary, images, ...names]) {
  const sandbox = await startSandbox(binary);
  const empty = await startEmpty(binary);
  const site = await startSite();
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    // Text in greys alone: the pictures are half as large, and look alike on every screen.
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-lcd-text', '--host-resolver-rules=MAP localhost 127.0.0.1'],
  });
  let passed = 0;
  let failed = 0;
  try {
    site.pages.set('/logo.svg', SVG_WITH_SCRIPT);
    await sandbox.admin('POST', '/admin/v1/apps', {
      id: APP,
      dialect: 'alipayhk',
      name: '<script>document.title = "taken over"</script> Corner shop',
      settings: {
        redirect_urls: [`${site.url}/back`],
        logo_url: `${site.url}/logo.svg`,
      },
    });
    for (const { name, options, run } of cases) {
      if (names.length && !names.some((part) => name.includes(part))) continue;
      const context = await browser.newContext({ locale: 'en-US', viewport: { width: 800, height: 900 }, ...options });
      context.setDefaultTimeout(CASE_MS_MAX);
      try {
        const page = await context.newPage();
        await run({ page, context, browser, sandbox, empty, site, images, app: APP, customer: CUSTOMER });
        passed += 1;
        console.log(`ok      ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}\n${error.stack}`);
      } finally {
        await context.close();
      }
    }
  } finally {
    await browser.close();
    site.stop();
    await empty.stop();
    await sandbox.stop();
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
}

const SVG_WITH_SCRIPT = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" onload="parent.document.title='taken over'">
<script>top.document.title = 'taken over'</script><rect width="8" height="8" fill="#175"/><circle cx="4" cy="4" r="2" fill="#fff"/></svg>`;

main(process.argv.slice(2)).catch((error) => {
  console.log(error.stack);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
});
