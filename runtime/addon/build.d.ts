/**
 * Builds the native addon into runtime/addon/build when it is missing or when its sources, its compiler flags or the
 * running node have changed. Several processes may call it at once: one builds, the others wait.
 * @param options.force build even when nothing has changed
 * @returns where the addon is, and whether this call built it
 * @throws Error naming what this machine lacks and the command that installs it, or the compiler's last lines
 */
export function buildAddon(options?: { readonly force?: boolean }): Promise<{
  readonly path: string;
  readonly built: boolean;
}>;
