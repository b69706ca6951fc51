/** A way in which llama-server guesses. */
export interface Setting {
  name: string;
  options: string[];
}

/** A kind of guessing: as it is by default, and with the other settings that it is tried with. */
export interface Kind {
  byDefault: Setting;
  others: Setting[];
}

/** The model that may guess, and the threads that it may use. */
export interface DraftModel {
  path: string;
  threads: number;
}

/**
 * Shorter matches than by default are found more often, and shorter guesses cost less where they are wrong. ngram-mod's own
 * warning says that matches below 16 tokens may be of poor quality; it gives guesses up that are shorter than its least length.
 */
export function serverKinds(draft: DraftModel | undefined): Kind[] {
  const kinds: Kind[] = [
    { byDefault: { name: "no speculation", options: [] }, others: [] },
    ngramKind("ngram-simple", [
      [4, 4],
      [4, 8],
      [4, 16],
      [8, 8],
      [8, 16],
    ]),
    ngramKind("ngram-map-k", [
      [4, 4],
      [4, 8],
      [8, 16],
    ]),
    {
      byDefault: { name: "ngram-mod", options: type("ngram-mod") },
      others: [ngramMod(16, 1, 8), ngramMod(16, 1, 16), ngramMod(8, 4, 16)],
    },
  ];
  if (draft) {
    kinds.push({
      byDefault: { name: "draft-simple", options: draftSimple(draft) },
      others: [
        { name: "draft-simple, 1 token", options: draftSimple(draft, 1) },
        { name: "draft-simple, 8 tokens", options: draftSimple(draft, 8) },
        { name: "draft-simple, 8 tokens from 0.8", options: draftSimple(draft, 8, 0.8) },
      ],
    });
  }
  return kinds;
}

function type(name: string): string[] {
  return ["--spec-type", name];
}

function ngramKind(name: string, sizes: [match: number, length: number][]): Kind {
  return {
    byDefault: { name, options: type(name) },
    others: sizes.map(([match, length]) => ({
      name: `${name}, matches of ${match}, drafts of ${length}`,
      options: [...type(name), `--spec-${name}-size-n`, String(match), `--spec-${name}-size-m`, String(length)],
    })),
  };
}

function ngramMod(match: number, least: number, most: number): Setting {
  const sizes = { "n-match": match, "n-min": least, "n-max": most };
  return {
    name: `ngram-mod, matches of ${match}, drafts of ${least} to ${most}`,
    options: [
      ...type("ngram-mod"),
      ...Object.entries(sizes).flatMap(([option, value]) => [`--spec-ngram-mod-${option}`, String(value)]),
    ],
  };
}

/** As long and as sure as by default, where nothing else is said. */
function draftSimple({ path, threads }: DraftModel, most?: number, least?: number): string[] {
  const given = [...type("draft-simple"), "-md", path, "--spec-draft-threads", String(threads), "-devd", "none"];
  if (most !== undefined) given.push("--spec-draft-n-max", String(most));
  if (least !== undefined) given.push("--spec-draft-p-min", String(least));
  return given;
}
