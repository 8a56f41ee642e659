// SPDX-License-Identifier: Apache-2.0
//
// A miner that shares no code with Ballast: it speaks Stratum V1 as firmware
// does, builds coinbase, merkle root and header itself, and hashes with the
// runtime's own SHA-256. Usage: node miner.mjs PORT USER PASSWORD SHARES
import net from 'node:net';
import { createHash } from 'node:crypto';

const [port, user, password, wanted] = process.argv.slice(2);
const dsha = (b) => createHash('sha256').update(createHash('sha256').update(b).digest()).digest();
const reverse = (b) => Buffer.from(b).reverse();
const le32 = (hex) => reverse(Buffer.from(hex, 'hex'));
const D1 = 0xffffn << 208n;

let extranonce1, extranonce2Size, difficulty = 1, job, mask = 0, accepted = 0, rejected = 0, id = 10, extranonce2 = 0;
const pending = new Map();
const socket = net.connect(Number(port), '127.0.0.1');
const send = (m) => socket.write(JSON.stringify(m) + '\n');
const fail = (why) => { console.error(why); process.exit(1); };
setTimeout(() => fail('no shares in time'), 90_000);
socket.on('error', (e) => fail(e.message));
socket.on('close', () => fail('the server closed the connection'));

// As firmware does: everything at once, without waiting, authorise first.
send({ id: 1, method: 'mining.configure', params: [['version-rolling'], { 'version-rolling.mask': 'ffffffff', 'version-rolling.min-bit-count': 2 }] });
send({ id: 'auth', method: 'mining.authorize', params: [user, password] });
send({ id: 2, method: 'mining.subscribe', params: ['othermaker/2.1'] });
send({ id: 3, method: 'mining.extranonce.subscribe', params: [] });
send({ id: 4, method: 'mining.get_transactions', params: [] });

let rest = '';
socket.on('data', (chunk) => {
  rest += chunk;
  for (let end; (end = rest.indexOf('\n')) >= 0; rest = rest.slice(end + 1)) {
    if (rest.slice(0, end).trim()) hear(JSON.parse(rest.slice(0, end)));
  }
});

function hear(m) {
  if (m.method === 'mining.set_difficulty') difficulty = m.params[0];
  else if (m.method === 'mining.set_version_mask') mask = parseInt(m.params[0], 16);
  else if (m.method === 'mining.set_extranonce') [extranonce1, extranonce2Size] = m.params;
  else if (m.method === 'mining.notify') {
    const first = !job;
    job = { params: m.params, difficulty };
    if (first) setImmediate(mine);
  } else if (m.id === 1) mask = parseInt(m.result['version-rolling.mask'], 16);
  else if (m.id === 2) [, extranonce1, extranonce2Size] = m.result;
  else if (m.id === 'auth' && m.result !== true) fail(`not authorised: ${JSON.stringify(m.error)}`);
  else if (pending.has(m.id)) {
    const difficult = pending.get(m.id);
    pending.delete(m.id);
    if (m.result === true) accepted += 1;
    else { rejected += 1; console.error(`rejected: ${JSON.stringify(m.error)} at ${difficult}`); }
    if (accepted >= Number(wanted)) {
      console.log(JSON.stringify({ accepted, rejected }));
      process.exit(rejected ? 1 : 0);
    }
  }
}

function mine() {
  const [jobID, prevhash, coinb1, coinb2, branches, version, nbits, ntime] = job.params;
  const target = D1 * 1_000_000_000_000n / BigInt(Math.round(job.difficulty * 1e12));
  const en2 = (extranonce2++).toString(16).padStart(2 * extranonce2Size, '0');
  const coinbase = Buffer.from(coinb1 + extranonce1 + en2 + coinb2, 'hex');
  const root = branches.reduce((h, b) => dsha(Buffer.concat([h, Buffer.from(b, 'hex')])), dsha(coinbase));
  const words = prevhash.match(/.{8}/g).map((w) => le32(w));
  const bits = (0x00c02000 & mask) >>> 0;
  const rolled = (((parseInt(version, 16) & ~mask) | bits) >>> 0).toString(16).padStart(8, '0');
  const header = Buffer.concat([le32(rolled), ...words, root, le32(ntime), le32(nbits), Buffer.alloc(4)]);
  const current = job;
  let nonce = 0;
  (function some() {
    for (const stop = nonce + 20_000; nonce < stop; nonce++) {
      header.writeUInt32LE(nonce, 76);
      const hash = dsha(header);
      if (hash[31] || hash[30]) continue; // far above any target of this test
      if (BigInt('0x' + reverse(hash).toString('hex')) > target) continue;
      pending.set(++id, current.difficulty);
      send({ id, method: 'mining.submit', params: [user, jobID, en2, ntime, nonce.toString(16).padStart(8, '0'), bits.toString(16).padStart(8, '0')] });
    }
    if (current !== job || nonce > 0xffff_0000) setImmediate(mine);
    else setImmediate(some);
  })();
}
