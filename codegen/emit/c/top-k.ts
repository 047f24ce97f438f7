import { IrError } from "../../../ir/core/diagnostic.ts";
import type { Statement } from "../../tile/types.ts";
import { Offset } from "../c-family/offset.ts";
import { atom } from "../c-family/parentheses.ts";
import { resolveView, type Scope, viewAddress } from "./scope.ts";

/**
 * The k largest keys in descending order, the lowest index first on ties. One sweep with a sorted list of the best so far: a key
 * enters before the keys that are smaller, so equal keys keep their order. Vectors without a key above the list's last are skipped.
 * NaN counts as the smallest key.
 */
export function emitTopK(scope: Scope, s: Extract<Statement, { kind: "top_k" }>): void {
  const keys = resolveView(scope, s.keys);
  const ids = resolveView(scope, s.ids);
  const { table } = scope.file;
  const { lanes, types } = table.isa;
  const { out, names } = scope;
  const n = keys.kept[0]?.extent;
  const k = ids.kept[0]?.extent;
  if (n === undefined || k === undefined || keys.kept.length !== 1 || ids.kept.length !== 1 || k > n) {
    throw new IrError(
      `top_k expects keys [n] and ids [k] with k <= n; found [${keys.kept.map((d) => d.extent)}] and [${ids.kept.map((d) => d.extent)}]`,
      "Give views of one dimension.",
    );
  }
  const [best, at, key, i, list] = ["best", "best_at", "key", "i", "place"].map((hint) => names.unique(hint)) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const keyAt = (index: Offset): string => scope.loadScalar(viewAddress(scope, keys, [index]), keys.binding.dtype);
  const insert = (index: string, filled: string): void => {
    out.line(`int64_t ${list} = ${filled};`);
    out.block(`for (; ${list} > 0 && ${best}[${list} - 1] < ${key}; ${list}--)`, () => {
      out.line(`if (${list} < ${k}) ${best}[${list}] = ${best}[${list} - 1], ${at}[${list}] = ${at}[${list} - 1];`);
    });
    out.line(`if (${list} < ${k}) ${best}[${list}] = ${key}, ${at}[${list}] = (int32_t)${index};`);
  };
  const readKey = (index: string): void => {
    out.line(`float ${key} = ${keyAt(Offset.text(index))};`);
    out.line(`if (${key} != ${key}) ${key} = -INFINITY;`);
  };
  out.block("", () => {
    out.line(`float ${best}[${k}];`);
    out.line(`int32_t ${at}[${k}];`);
    out.block(`for (int64_t ${i} = 0; ${i} < ${k}; ${i}++)`, () => {
      readKey(i);
      insert(i, i);
    });
    const scan = (from: string, to: string): void =>
      out.block(`for (int64_t ${i} = ${from}; ${i} < ${to}; ${i}++)`, () => {
        readKey(i);
        out.block(`if (${best}[${k - 1}] < ${key})`, () => insert(i, String(k)));
      });
    const whole = keys.contiguous && lanes > 1 ? k + Math.floor((n - k) / lanes) * lanes : k;
    if (whole > k) {
      const block = names.unique("block");
      out.block(`for (int64_t ${block} = ${k}; ${block} < ${whole}; ${block} += ${lanes})`, () => {
        const load = table.text(`load.${keys.binding.dtype}`, { p: viewAddress(scope, keys, [Offset.text(block)]) });
        const threshold = table.text("broadcast.f32", { a: `${best}[${k - 1}]` });
        const larger = names.unique("larger");
        out.line(`const ${types.bool} ${larger} = ${table.text("lt.f32", { a: threshold, b: load })};`);
        out.line(`if (!${atom(table.text("any.bool", { a: larger }))}) continue;`);
        scan(block, `${block} + ${lanes}`);
      });
    }
    if (whole < n) scan(String(whole), String(n));
    const store = scope.storeScalar(viewAddress(scope, ids, [Offset.text(i)]), ids.binding.dtype, `${at}[${i}]`);
    out.line(`for (int64_t ${i} = 0; ${i} < ${k}; ${i}++) ${store}`);
  });
}
