// Makes screenshots small: a page has few colours, so each pixel can be a number in a palette (PNG, sections 9 and 11.2).
'use strict';
const assert = require('node:assert/strict');
const zlib = require('node:zlib');

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
const COLOURS_MAX = 256;

/** The chunks of a PNG: name and data. */
function chunksOf(png) {
  const chunks = [];
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    chunks.push([png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length)]);
    at += length + 12;
  }
  return chunks;
}

const CRC_TABLE = Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
  return sum;
});

/** The checksum of a chunk (PNG, annex D); Node 18 has none of its own. */
function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC_TABLE[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function chunk(name, data) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  const named = Buffer.concat([Buffer.from(name, 'latin1'), data]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc(named));
  return Buffer.concat([head, named, sum]);
}

/** Undoes the filters in place; `wide` is the bytes of a line, `pixel` of a pixel. */
function unfilter(lines, wide, pixel) {
  const rows = [];
  let above = Buffer.alloc(wide);
  for (let at = 0; at < lines.length; at += wide + 1) {
    const filter = lines[at];
    const row = lines.subarray(at + 1, at + 1 + wide);
    for (let x = 0; x < wide; x += 1) {
      const left = x < pixel ? 0 : row[x - pixel];
      const corner = x < pixel ? 0 : above[x - pixel];
      row[x] += [0, left, above[x], (left + above[x]) >> 1, paeth(left, above[x], corner)][filter];
    }
    rows.push(row);
    above = row;
  }
  return rows;
}

function paeth(left, up, corner) {
  const [toLeft, toUp, toCorner] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** A screenshot of 8-bit RGB in the colours that it has most of; any other becomes the nearest of these. */
function shrunk(png) {
  const chunks = chunksOf(png);
  const [[, head]] = chunks;
  assert.equal(head.readUInt16BE(8), 0x0802, 'a screenshot is 8-bit RGB');
  const packed = Buffer.concat(chunks.filter(([name]) => name === 'IDAT').map(([, data]) => data));
  const rows = unfilter(zlib.inflateSync(packed), head.readUInt32BE(0) * 3, 3).map(coloursOf);
  const counts = new Map();
  for (const colour of rows.flat()) counts.set(colour, (counts.get(colour) || 0) + 1);
  const common = [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one));
  const palette = common.slice(0, COLOURS_MAX);
  const indices = new Map(common.map((colour) => [colour, nearest(palette, colour)]));
  const lines = rows.map((row) => Buffer.from([0, ...row.map((colour) => indices.get(colour))]));
  const newHead = Buffer.from(head);
  newHead[9] = 3;
  const colours = Buffer.concat(palette.map((colour) => Buffer.from(channels(colour))));
  const data = zlib.deflateSync(Buffer.concat(lines), { level: 9, memLevel: 9 });
  const made = [chunk('IHDR', newHead), chunk('PLTE', colours), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))];
  return Buffer.concat([SIGNATURE, ...made]);
}

/** A line's colours, each as one number. */
function coloursOf(row) {
  return Array.from({ length: row.length / 3 }, (_, x) => row.readUIntBE(3 * x, 3));
}

const channels = (colour) => [colour >> 16, (colour >> 8) & 0xff, colour & 0xff];

/** Where in the palette the colour is that differs least. */
function nearest(palette, colour) {
  const wanted = channels(colour);
  const off = (known) => channels(known).reduce((sum, value, n) => sum + (value - wanted[n]) ** 2, 0);
  let best = 0;
  for (let n = 1; n < palette.length; n += 1) if (off(palette[n]) < off(palette[best])) best = n;
  return best;
}

module.exports = { shrunk };
