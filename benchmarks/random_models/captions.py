"""A few hundred short captions, from which the small vocabularies are trained."""

from __future__ import annotations

COLOURS = (
    "red orange yellow green blue purple pink brown black white gray golden silver turquoise"
).split()

ANIMALS = (
    "cat dog horse lion tiger bear zebra giraffe elephant monkey rabbit fox wolf deer cow sheep "
    "goat pig chicken duck bird eagle owl parrot penguin dolphin whale shark fish frog snake "
    "turtle dinosaur dragon unicorn butterfly"
).split()

THINGS = (
    "rose sunflower tulip flower tree apple banana lemon strawberry pizza cake burger car bus "
    "train truck bicycle airplane boat ship chair table bed lamp clock book phone computer cup "
    "bottle house castle church bridge tower ball hat shirt dress shoe sword robot"
).split()

PROFESSIONS = (
    "doctor nurse teacher engineer lawyer scientist chef farmer pilot soldier dancer singer "
    "actor artist writer librarian hairdresser housekeeper firefighter mechanic plumber cashier "
    "developer president king queen prince princess ceo"
).split()

ARTISTS = (
    "van gogh",
    "claude monet",
    "pablo picasso",
    "rembrandt",
    "salvador dali",
    "andy warhol",
    "hokusai",
    "gustav klimt",
)

PLACES = "mountain beach forest river lake desert city street garden field kitchen room sky".split()

INSTRUCTIONS = (
    "You are an assistant designed to generate superior images with the degree of image-text "
    "alignment based on textual prompts or user prompt Prompt Start Describe describe by detailing "
    "color shape size texture quantity text spatial relationships objects background: AI that "
    "reasons about image descriptions structured responses focusing object attribution actions "
    "without speculation Given a Enhanced enhance concise detailed system user assistant"
).split()
"""Words of the templates that pipelines put around a prompt. As one token each, they keep prompts
for language models about as long as the original tokenizers make them."""

TEMPLATES = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a picture of a {}",
    "a painting of a {}",
    "a drawing of a {}",
    "a close-up photo of the {}",
    "a good photo of my {}",
    "two {}s on the left and one on the right",
    "an image of an old {} with a small {}",
)

SENTENCES = (
    "the president of the united states",
    "the president of the united states is donald trump",
    "the president of france",
    "the prime minister of canada is a woman",
    "the pope in the vatican",
    "a photo of joe biden and barack obama",
    "a man and a woman, a boy and a girl",
    "a person riding a horse on the beach at sunset",
    "an astronaut riding a horse in space, digital art, highly detailed",
    "snoopy, mickey mouse, superman and batman",
    "a kitchen with a wooden table, two chairs and a window",
    "a naked person, violence and blood",
    "blurry, low quality, worst quality, watermark, text, bad hands, ugly",
    "best quality, 4k, 8k, photorealistic, cinematic lighting",
    "the eiffel tower in paris at night",
    "what is it? it's 10 o'clock; don't we'll see!",
    "0 1 2 3 4 5 6 7 8 9",
)


def captions() -> list[str]:
    """The captions, without duplicates, in a fixed order."""
    nouns = [*ANIMALS, *THINGS, *PROFESSIONS]
    lines = [*SENTENCES, *INSTRUCTIONS, *(f"the {word} of" for word in INSTRUCTIONS)]
    for place, noun in enumerate(nouns):
        colour = COLOURS[place % len(COLOURS)]
        artist = ARTISTS[place % len(ARTISTS)]
        template = TEMPLATES[place % len(TEMPLATES)]
        other = nouns[(7 * place + 3) % len(nouns)]
        lines.append(f"a {noun}")
        lines.append(f"a {colour} {noun}")
        lines.append(f"a painting of a {noun} by {artist}")
        lines.append(template.format(*(noun, other)[: template.count("{}")]))
        lines.append(f"a {noun} and a {other} in the {PLACES[place % len(PLACES)]}")
    return list(dict.fromkeys(lines))
