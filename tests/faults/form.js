// The long form (`npm run test:faults`) and the short form (`npm test`) of the same tests.

/** Whether the long form was asked for. */
export const LONG = process.env.FAULTS === "long";

/** The first value in the long form, the second in the short one. */
export const inForm = (long, short) => (LONG ? long : short);

/** For a test's option `skip`: skips it in the short form, because it waits for leases to end or for later alarms. */
export const inShortForm = LONG ? false : "only in the long form: npm run test:faults";

/** Seeded random numbers from 0 to 1 (mulberry32). `FAULTS_SEED` repeats an earlier run. */
export function seededRandom(seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 32))) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, random };
}
