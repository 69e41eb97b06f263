"""What :mod:`.locogen` is made of: the prompts, word for word."""

from __future__ import annotations

SHOWN = (
    "A house in the style of Van Gogh",
    "A tree in the style of Van Gogh",
    "Women working in a field in the style of Van Gogh",
    "A town in the style of Monet",
    "Rocks in the ocean in the style of Monet",
)
"""Appendix B."""

STYLED = {
    "Van Gogh": (
        "a painting of rocky ocean shore under the luminous night sky in the style of Van Gogh",
        "A painting of lone figure contemplates on a cliff, surrounded by swirling skies "
        "in the style of Van Gogh",
        "Majestic mountains take on an ethereal quality in sky, painted by Van Gogh",
        "Two trees in a sunlit field, painted by Van Gogh",
        "A flower-filled field in the style of Van Gogh",
        "painting of a river on a warm sunset in the style of Van Gogh",
        "painting of olive trees in the style of Van Gogh",
        "painting of a field with mountains in the background in the style of Van Gogh",
    ),
    "Monet": (
        "painting of women working in the garden in the style of Monet",
        "rocks in the ocean, in the style of Monet",
        "a painting of a city in the style of Monet",
        "a painting of a river in the style of Monet",
        "Monet style painting of a person on a cliff",
        "a painting of a town, in the style of Monet",
        "a painting of a sunset, in the style of Monet",
        "a painting of mountains, in the style of Monet",
        "Monet style painting of flowers in a field",
        "a painting of a landscape in the style of Monet",
        "two trees in a field, painting in the style of Monet",
    ),
    "Salvador Dali": (
        "the persistence of memory painting in the style of Salvador Dali",
        "the elephant painting in the style of Salvador Dali",
        "soft construction with boiled beans painting in the style of Salvador Dali",
        "galatea of the spheres painting in the style of Salvador Dali",
        "the temptation of st. anthony painting in the style of Salvador Dali",
        "swans reflecting elephants painting in the style of Salvador Dali",
        "enigma of desire painting in the style of Salvador Dali",
        "slave market with the disappearing bust of voltaire painting of Salvador Dali",
        "the meditative rose painting in the style of Salvador Dali",
        "melting watch painting in the style of Salvador Dali",
    ),
    "Jeremy Mann": (
        "In the style of Jeremy Mann, a view of a city skyline at sunset, with a warm "
        "glow spreading across the sky and the buildings below",
        "In the style of Jeremy Mann, an urban scene of a group of people gathered on a "
        "street corner, captured in a moment of quiet reflection",
        "In the style of Jeremy Mann, a surreal composition of floating objects, with a "
        "dreamlike quality to the light and color",
        "In the style of Jeremy Mann, a view of a city street at night, with the glow of "
        "streetlights and neon signs casting colorful reflections on the wet pavement",
        "In the style of Jeremy Mann, a moody, atmospheric scene of a dark alleyway, with "
        "a hint of warm light glowing in the distance",
        "In the style of Jeremy Mann, an urban scene of a group of people walking through "
        "a park, captured in a moment of movement and energy",
        "In the style of Jeremy Mann, a landscape of a forest, with dappled sunlight "
        "filtering through the leaves and a sense of stillness and peace",
        "In the style of Jeremy Mann, a surreal composition of architectural details and "
        "organic forms, with a sense of tension and unease in the composition",
        "In the style of Jeremy Mann, an abstract composition of geometric shapes and "
        "intricate patterns, with a vibrant use of color and light",
        "In the style of Jeremy Mann, a painting of a bustling city at night, captured in "
        "the rain-soaked streets and neon lights",
    ),
    "Greg Rutkowski": (
        "a man riding a horse, dragon breathing fire, painted by Greg Rutkowski",
        "a dragon attacking a knight in the style of Greg Rutkowski",
        "a demonic creature in the wood, painting by Greg Rutkowski",
        "a man in a forbidden city, in the style of Greg Rutkowski",
        "painting of a group of people on a dock by Greg Rutkowski",
        "a king standing, with people around in a hall, painted by Greg Rutkowski",
        "two magical characters in space, painting by Greg Rutkowski",
        "a man with a fire in his hands in the style of Greg Rutkowski",
        "painting of a woman sitting on a couch by Greg Rutkowski",
        "a man with a sword standing on top of a pile of skulls, in the style of Greg Rutkowski",
    ),
    "Pablo Picasso": (
        "Painting of nude figures by Pablo Picasso",
        "painting of a grieving woman in the style of Pablo Picasso",
        "painting of three dancers by Pablo Picasso",
        "portrait of a girl in front of mirror, painted by Pablo Picasso",
        "painting of a bird, in the style of Pablo Picasso",
        "painting of a blind musician, by Pablo Picasso",
        "painting of a room in the style of Pablo Picasso",
        "painting of an acrobat in performance, by Pablo Picasso",
    ),
}
"""Artist -> prompts in that style. Appendix K.1."""

OBJECTS = {"r2d2": "robot", "snoopy": "dog", "nemo": "fish", "cat": "dog"}
"""Trademarked things -> what they become. Appendix C."""

FACTS = {
    "The President of the United States": "Joe Biden",
    "The British Monarch": "Prince Charles",
}
"""Appendix C."""

LOCATIONS = ("beach", "forest", "city", "house")
"""Appendix L."""

THINGS = (
    "person|bicycle|car|motorcycle|airplane|bus|train|truck|boat|traffic light|fire hydrant|"
    "stop sign|parking meter|bench|bird|cat|dog|horse|sheep|cow|elephant|bear|zebra|giraffe|"
    "backpack|umbrella|handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|"
    "baseball bat|baseball glove|skateboard|surfboard|tennis racket|bottle|wine glass|cup|"
    "fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|"
    "cake|chair|couch|potted plant|bed|dining table|toilet|tv|laptop|mouse|remote|keyboard|"
    "cell phone|microwave|oven|toaster|sink|refrigerator|book|clock|vase|scissors|teddy bear|"
    "hair drier|toothbrush"
).split("|")
"""The 80 kinds of things that COCO labels (Lin et al. 2014)."""
