/** Compiles and computes the oracle beside the page, which stays alive meanwhile. */
import type { Answer, Call } from "./calls.ts";
import { Session } from "./session.ts";

const session = new Session();

addEventListener("message", ({ data: { id, method, args } }: MessageEvent<Call>) => {
  let answer: Answer;
  try {
    const work: (...given: never[]) => unknown = session[method].bind(session);
    answer = { id, value: work(...(args as never[])) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  postMessage(answer);
});
