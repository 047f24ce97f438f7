import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Statement } from "../../tile/types.ts";
import { constant, primary, print } from "./code.ts";
import type { Context } from "./context.ts";
import { bindView, loop } from "./views.ts";

/**
 * Prints a top-k: one pass over the keys that keeps the largest so far in order. Keys are compared as integers in the order
 * of the floats, so that neither NaN nor infinities need a comparison of floats, and every id is one of a key.
 */
export function emitTopK(context: Context, s: Extract<Statement, { kind: "top_k" }>): void {
  const keys = bindView(context, s.keys);
  const ids = bindView(context, s.ids);
  const [count = 0] = keys.shape;
  const [chosen = 0] = ids.shape;
  if (keys.shape.length !== 1 || ids.shape.length !== 1 || chosen > count)
    throw new IrError(
      `top-k chooses [${ids.shape.join(", ")}] of [${keys.shape.join(", ")}] keys`,
      "Choose at most as many as there are keys, from one row.",
    );
  if (chosen === 0) return;
  const { names } = context;
  const [best, bestIds, key, place] = ["best_keys", "best_ids", "key", "place"].map((hint) => names.unique(hint));
  const last = chosen - 1;
  context.line(`var ${best}: array<i32, ${chosen}>;`);
  context.line(`var ${bestIds}: array<i32, ${chosen}>;`);
  loop(context, chosen, (i) => context.line(`${best}[${print(i)}] = -2147483648;`));
  loop(context, count, (i) => {
    const value = print(keys.read([i]));
    context.line(`let ${key} = ${keys.memory.type === "f32" ? `order_key(${value})` : value};`);
    // Only a larger key moves ahead, so that the lowest id is first among equals.
    context.block(`if (${best}[${last}] < ${key})`, () => {
      context.line(`var ${place} = ${last};`);
      context.block("loop", () => {
        context.line(`if (${place} == 0) { break; }`);
        context.line(`if (${key} <= ${best}[${place} - 1]) { break; }`);
        context.line(`${best}[${place}] = ${best}[${place} - 1];`);
        context.line(`${bestIds}[${place}] = ${bestIds}[${place} - 1];`);
        context.line(`${place}--;`);
      });
      context.line(`${best}[${place}] = ${key};`);
      context.line(`${bestIds}[${place}] = ${print(i)};`);
    });
  });
  if (ids.memory.kind === "scalars") {
    for (let i = 0; i < chosen; i++) ids.write([constant("i32", i)], primary("i32", `${bestIds}[${i}]`));
  } else {
    loop(context, chosen, (i) => ids.write([i], primary("i32", `${bestIds}[${print(i)}]`)));
  }
}
