'use strict';

// Clients of databases. Their servers are no Node programs, so that what serves is a relay.

const assert = require('node:assert/strict');
const { bodyOf, checkSame } = require('./exchange');
const { relay } = require('./net');

exports.ioredis = {
  serve: relay.serve,
  async call({ address, port }) {
    const { Redis } = require('ioredis');
    const redis = new Redis({ host: address, port });
    const body = bodyOf(300_000);
    await redis.set('key', body);
    checkSame(await redis.getBuffer('key'), body);
    const answers = await redis.pipeline().set('n', 1).incr('n').get('n').exec();
    assert.deepEqual(
      answers.map(([, answer]) => answer),
      ['OK', 2, '2'],
    );
    const subscriber = redis.duplicate();
    await subscriber.subscribe('news');
    const message = new Promise((resolve) => subscriber.on('message', (_, text) => resolve(text)));
    await redis.publish('news', 'heard');
    assert.equal(await message, 'heard');
    await Promise.all([redis.quit(), subscriber.quit()]);
  },
};

exports.pg = {
  serve: relay.serve,
  async call({ address, port }) {
    const { Pool } = require('pg');
    const where = { host: address, port, user: 'postgres', database: 'postgres' };
    const pool = new Pool({ ...where, max: 2 });
    const body = bodyOf(300_000);
    const { rows } = await pool.query('SELECT $1::bytea AS body, 6 * 7 AS number', [body]);
    checkSame(rows[0].body, body);
    const sums = await Promise.all(
      [1, 2, 3].map((n) => pool.query('SELECT $1::int + 1 AS n', [n])),
    );
    assert.deepEqual(
      sums.map((sum) => sum.rows[0].n),
      [2, 3, 4],
    );
    await assert.rejects(pool.query('SELECT nothing'), { code: '42703' });
    await pool.end();
  },
};

exports.mysql2 = {
  serve: relay.serve,
  async call({ address, port }) {
    const mysql = require('mysql2/promise');
    const connection = await mysql.createConnection({ host: address, port, user: 'root' });
    const body = bodyOf(300_000);
    const [rows] = await connection.execute('SELECT ? AS body, 6 * 7 AS number', [body]);
    checkSame(rows[0].body, body);
    assert.equal(rows[0].number, 42);
    await assert.rejects(connection.query('SELECT nothing'), { code: 'ER_BAD_FIELD_ERROR' });
    await connection.end();
  },
};
