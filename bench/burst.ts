/** Warm-up before calls are timed: threads come, what another program left in the caches goes. */
const WARM_MS = 40;
const MOST_CALLS = 2000;

/** Times, in ns, of calls that take inputs in turn, for so long after a warm-up; one call at least. */
export async function burst<X>(
  batches: readonly X[],
  budgetMs: number,
  call: (x: X) => Promise<number>,
): Promise<readonly number[]> {
  let next = 0;
  const once = async (): Promise<number> => {
    const x = batches[next++ % batches.length];
    if (x === undefined) throw new Error("there is nothing to call with");
    return call(x);
  };
  for (let spent = 0; spent < WARM_MS * 1e6; ) spent += await once();
  const times: number[] = [];
  for (let spent = 0; spent < budgetMs * 1e6 && times.length < MOST_CALLS; ) {
    const took = await once();
    times.push(took);
    spent += took;
  }
  return times;
}
