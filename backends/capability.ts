/** Whether a machine can do one thing: by what means, or why not and what mends it. */
export type Ability =
  | { readonly ok: true /** The means, in words. */; readonly how: string }
  | {
      readonly ok: false;
      /** What is lacking, in words. */
      readonly why: string;
      /** The command or the step that mends it. */
      readonly mend: string;
    };

/** What a machine can do with a target. */
export interface Capability {
  /** The target's name, as in `--target`. */
  readonly target: string;
  /** Print the target's source, and build it where the target needs building. */
  readonly compile: Ability;
  /** Run it on the hardware that it is meant for: figures are measured. */
  readonly run: Ability;
  /** Run it on a stand-in for that hardware: figures are emulated. */
  readonly emulate: Ability;
}
