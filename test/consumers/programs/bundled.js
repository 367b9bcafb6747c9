'use strict';

// The entry of a bundle: express and undici in one file, as esbuild puts them there.

const { express, undici } = require('./web');

exports.bundle = { serve: express.serve, call: undici.call };
