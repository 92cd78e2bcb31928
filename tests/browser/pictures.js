// The pictures of docs/img: each state of each page, fit for everyone, and the proof that none is without one.
'use strict';
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { checkLooks } = require('./checks.js');
const { shrunk } = require('./png.js');

const ROOT = path.join(__dirname, '../..');
const PHONE = { width: 360, height: 740 };
const PICTURE_PX_MAX = 1_200;
const PICTURE_BYTES_MAX = 40 * 1024;
const PAGE_BYTES_MAX = 50 * 1024;

/** What no picture shows, and why. */
const SLOW_STORE = 'takes a store that does not answer';
const MANY = 'takes more than a page of them; the link is as below the customers';
const UNSEEN = {
  'There are more. End some of these to see the rest.': 'takes more than 2,000 grants of one customer',
  'We could not finish this just now. Wait a moment and try again.': SLOW_STORE,
  'A part of this server takes too long to answer, and is left out here. Its store may be slow.': SLOW_STORE,
  'There is no such line since': 'takes more than 1,000 lines',
  '. Older lines may have one.': 'the same',
  'Look again': 'stands there while a renewal is under way; a case in console.js waits one out',
  'under way': 'the same',
  'Further apps': MANY,
  'Further grants': MANY,
  'Further services': MANY,
  'Further consumers': MANY,
  'Further credentials': MANY,
  deleted: 'an app’s grants end with it; a page made in between says so',
};

/** What the pages of the pictures said, and the pictures' names. */
const said = [];
const taken = new Set();

const plain = (text) => text.replace(/\s+/g, ' ').trim();

/**
 * The cases of a page's states. A state is opened once and looked at in both colour schemes; its picture is taken in light
 * or, if it says so, in `dark`. `kind` begins the pictures' names.
 */
function pictured(kind, states) {
  return Object.entries(states).map(([name, { open, dark, options }]) => ({
    name: `the page “${kind}${name}” is fit for everyone on a phone, in light and dark`,
    options: { viewport: PHONE, ...options },
    async run(world) {
      const { page, images } = world;
      await open(world);
      for (const colorScheme of dark ? ['light', 'dark'] : ['dark', 'light']) {
        await page.emulateMedia({ colorScheme });
        await checkLooks(page, `${name}, ${colorScheme}`);
      }
      const html = await page.content();
      assert.ok(Buffer.byteLength(html) < PAGE_BYTES_MAX, `${name} is too long`);
      said.push(plain(await page.evaluate(() => `${document.title} ${document.documentElement.textContent}`)));
      await picture(page, path.join(images, `${kind}${name}-${dark ? 'dark' : 'light'}.png`));
    },
  }));
}

/** Takes the picture of a page, down to where it gets too long for a picture, or of `part` of it. */
async function picture(page, file, part) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const { width } = page.viewportSize();
  const clip = { x: 0, y: 0, width, height: Math.min(height, PICTURE_PX_MAX) };
  const png = shrunk(part ? await part.screenshot() : await page.screenshot({ fullPage: true, clip }));
  fs.writeFileSync(file, png);
  assert.ok(png.length < PICTURE_BYTES_MAX, `${path.basename(file)} has ${png.length} bytes`);
  taken.add(path.basename(file));
}

/** Every file beneath a folder of the repository. */
function filesOf(folder) {
  const inside = fs.readdirSync(path.join(ROOT, folder), { withFileTypes: true });
  return inside.flatMap((entry) => {
    const file = path.join(folder, entry.name);
    return entry.isDirectory() ? filesOf(file) : [file];
  });
}

/** The words that a template has of its own, in the pieces that its markup leaves. */
function wordsOf(template) {
  const text = fs.readFileSync(path.join(ROOT, template), 'utf8');
  const pieces = text.split(/\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<[^>]*>/s).map(plain);
  return pieces.filter((piece) => /[A-Za-z]{3}/.test(piece));
}

/** The English texts of the authorization page; its templates have none of their own. */
function wordsOfConsent() {
  const source = fs.readFileSync(path.join(ROOT, 'crates/issuer/src/consent/words.rs'), 'utf8');
  const [english] = /const EN: Words = Words \{.*?\n\};/s.exec(source);
  return [...english.matchAll(/^ {4}(?!lang)\w+: "(.*)",$/gm)].flatMap(([, text]) => text.split('{}')).map(plain);
}

/** What no picture shows though it should, and what is excused though no template says it. */
function unseen() {
  const templates = filesOf('crates').filter((file) => /\/templates\/.*\.html$/.test(file));
  const words = [...templates, 'src/sandbox_shop/page.html'].flatMap(wordsOf).concat(wordsOfConsent());
  const all = said.join('\n');
  const missing = words.filter((piece) => !all.includes(piece) && !(piece in UNSEEN));
  return { missing, excused: Object.keys(UNSEEN).filter((piece) => !words.includes(piece)) };
}

/** To be run after all others. */
const proof = {
  name: 'each word of each page’s templates is in a picture, and docs/img has these pictures and no other',
  async run() {
    assert.deepEqual(unseen(), { missing: [], excused: [] });
    const kept = filesOf('docs/img').map((file) => path.basename(file));
    assert.deepEqual(kept.sort(), [...taken].sort(), 'tests/browser/run --images takes them anew');
  },
};

module.exports = { PHONE, pictured, picture, proof };
