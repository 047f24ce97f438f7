import type { LocalMemory } from "../backends/backend.ts";
import { digits } from "./format.ts";
import { html } from "./html.ts";

/** A memory space of a target. */
export interface Space {
  readonly name: string;
  readonly capacity: number;
}

/**
 * Draws what a kernel takes of each memory space: a bar as long as the space, a piece for each buffer, what is free left blank.
 * The pieces are named below. A space of which nothing is taken is not drawn.
 */
export function memoryMap(spaces: readonly Space[], buffers: readonly LocalMemory[]): string {
  return spaces
    .flatMap(({ name, capacity }) => {
      const own = buffers.filter((b) => b.space === name);
      return own.length === 0 ? [] : [spaceMap(name, capacity, own)];
    })
    .join("\n");
}

function spaceMap(name: string, capacity: number, buffers: readonly LocalMemory[]): string {
  const taken = buffers.reduce((sum, b) => sum + b.bytes * b.count, 0);
  const percent = (bytes: number): string => `${((bytes / capacity) * 100).toFixed(2)}%`;
  const title = `${name.toUpperCase()}: ${digits(taken)} of ${digits(capacity)} bytes, ${Math.round((taken / capacity) * 100)} %`;
  let at = 0;
  const pieces: string[] = [];
  const names: string[] = [];
  buffers.forEach((b, i) => {
    for (let piece = 0; piece < b.count; piece++) {
      pieces.push(
        `<rect class="piece${i % 4}" x="${percent(at)}" y="1" width="${percent(b.bytes)}" height="22" fill="currentColor"><title>${html(`${b.name}: ${digits(b.bytes)} bytes`)}</title></rect>`,
      );
      at += b.bytes;
    }
    const size = `${b.count === 1 ? "" : `${b.count} × `}${digits(b.bytes)} bytes`;
    names.push(`<li class="piece${i % 4}">${html(`${b.name} (${b.use}), ${size}`)}</li>`);
  });
  return `<figure class="space">
<figcaption>${html(title)}</figcaption>
<svg role="img" width="100%" height="24"><title>${html(title)}</title>
<rect class="capacity" x="0" y="1" width="100%" height="22" fill="none" stroke="currentColor"/>
${pieces.join("\n")}
</svg>
<ul>${names.join("")}</ul>
</figure>`;
}
