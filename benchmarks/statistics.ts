export * from '../lib/statistics';
