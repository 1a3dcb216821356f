"""Vocabulary of the synthetic catalogue: kinds of goods with their packs, flavours with colours, brand syllables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goods:
    """Kind of goods. package: package kind. wide, deep: width and depth divided by height. density: g/cm³ of the
    bounding box of the pack. grams: available sizes. flavours: a key of FLAVOURS. unit, count: package kind and number
    of the units of a multipack.
    """

    category: str
    name: str
    package: str
    wide: float
    deep: float
    density: float
    grams: tuple[int, ...]
    flavours: str
    unit: str = ""
    count: int = 0


FLAVOURS: dict[str, dict[str, str]] = {
    "fruit": {
        **{"Strawberry": "#d6283c", "Cherry": "#8f1230", "Raspberry": "#c72a66", "Blueberry": "#464696"},
        **{"Peach": "#f7a86c", "Apricot": "#f0933a", "Orange": "#f58c14", "Lemon": "#f6d82e", "Lime": "#9fc93c"},
        **{"Apple": "#8fb83a", "Pear": "#c9cf6a", "Mango": "#f6a821", "Pineapple": "#f0cf3c", "Banana": "#f3dc6b"},
        **{"Blackcurrant": "#3f1f4f", "Grape": "#6b3a80", "Grapefruit": "#f0705a", "Coconut": "#efe8da"},
    },
    "sweet": {
        **{"Chocolate": "#552d19", "Milk Chocolate": "#7a4526", "Dark Chocolate": "#2f1a10", "Vanilla": "#f0e1aa"},
        **{"Caramel": "#c58438", "Hazelnut": "#8a5a33", "Almond": "#cfa671", "Honey": "#e1a528", "Coffee": "#462819"},
        **{"Mint": "#6ec8a0", "Coconut": "#efe8da", "Cinnamon": "#a3562a", "Peanut": "#d19a4e", "Toffee": "#a9682c"},
    },
    "savoury": {
        **{"Sea Salt": "#7fb2d6", "Paprika": "#c8371d", "Chili": "#b3140f", "Cheese": "#f2b632", "Onion": "#b88a3e"},
        **{"Sour Cream": "#9bbf6b", "Garlic": "#d9d2bd", "Herb": "#5a8c46", "Pepper": "#4a4a46", "Barbecue": "#6b2418"},
        **{"Tomato": "#cd281e", "Basil": "#3f7d2e", "Rosemary": "#54724a", "Curry": "#d9a515", "Natural": "#d8c8a0"},
    },
    "vegetable": {
        **{"Sweet Corn": "#f5cd46", "Garden Peas": "#6eaa3c", "Carrots": "#ee8422", "Kidney Beans": "#7c231f"},
        **{"White Beans": "#e7dfc6", "Chickpeas": "#d6b271", "Lentils": "#8a5a3a", "Peeled Tomatoes": "#cd281e"},
        **{"Chopped Tomatoes": "#b92118", "Mushrooms": "#a58c70", "Beetroot": "#6d1236", "Spinach": "#2f5d2f"},
    },
    "tea": {
        **{"Peppermint": "#2f8f6b", "Camomile": "#f0d15a", "Green Tea": "#7da644", "Earl Grey": "#3b3f66"},
        **{"English Breakfast": "#8c3a1e", "Rooibos": "#a8411c", "Fennel": "#9fbf5c", "Ginger Lemon": "#e9c13b"},
        **{"Rose Hip": "#b8223b", "Forest Fruit": "#5d2257", "Darjeeling": "#a5702f", "Lemon Balm": "#8ebd4c"},
    },
    "roast": {
        **{"Mild": "#c9a26b", "Classic": "#7b4a2a", "Strong": "#3c2114", "Espresso": "#1f120c", "Decaf": "#3d6f8f"},
        **{"Crema": "#a9743d", "Organic": "#4f7d3b", "Arabica": "#8e2f23", "Lungo": "#5a3b6e", "Ristretto": "#5b1420"},
    },
    "scent": {
        **{"Lavender": "#8c78c0", "Rose": "#d9798f", "Aloe Vera": "#7cb977", "Citrus": "#f0c92f", "Ocean": "#2f86b5"},
        **{"Sensitive": "#e6e9ee", "Fresh": "#54b3cf", "Coconut": "#e9dfcb", "Sport": "#2c3f5c", "Almond": "#d1a878"},
        **{
            "Herb": "#5f8f4a",
            "Cotton": "#dfe7f2",
            "Green Apple": "#8fbf3d",
            "Vanilla": "#efd9a3",
            "Charcoal": "#34363a",
        },
    },
    "dairy": {
        **{"Whole": "#1c5fa8", "Low Fat": "#6fa8dc", "Skimmed": "#cfe0ef", "Lactose Free": "#8a63a8"},
        **{"Organic": "#4f8a3c", "Oat": "#cdaa73", "Soy": "#e2d38e", "Almond": "#c9a27c", "Barista": "#5a4636"},
    },
    "soda": {
        **{"Cola": "#b3101b", "Cola Zero": "#1a1a1c", "Orange": "#f58c14", "Lemon": "#f2d733", "Lime": "#78b43c"},
        **{
            "Ginger": "#c79a4b",
            "Tonic": "#2e3f7f",
            "Bitter Lemon": "#d9d25a",
            "Grapefruit": "#f0705a",
            "Cherry": "#9c1534",
        },
        **{"Elderflower": "#dfe3a3", "Peach": "#f7a86c", "Energy": "#3366cc", "Apple": "#8fb83a", "Rhubarb": "#e0707c"},
    },
    "water": {"Still": "#5fa9d9", "Sparkling": "#1f5fa8", "Medium": "#3f9f8a", "Lemon": "#f0d84a", "Mint": "#6ec8a0"},
    "grape": {
        **{"Riesling": "#d9cf83", "Chardonnay": "#e4cf74", "Sauvignon": "#b9c36a", "Merlot": "#5b1426"},
        **{
            "Cabernet": "#3f0f1d",
            "Tempranillo": "#701d2b",
            "Pinot Noir": "#6d2a3a",
            "Rosé": "#e9a0a5",
            "Primitivo": "#4a1220",
        },
    },
    "pet": {
        **{"Chicken": "#e0a030", "Beef": "#9a2b20", "Salmon": "#ef7f62", "Tuna": "#2f6f9f", "Turkey": "#b5803f"},
        **{"Lamb": "#7a4a5a", "Duck": "#5d7a3a", "Rabbit": "#a8825a", "Game": "#5a3d25", "Liver": "#6d2323"},
    },
    "shape": {
        **{
            "Spaghetti": "#1f4fa0",
            "Penne": "#2f6fc0",
            "Fusilli": "#4f8fd0",
            "Farfalle": "#c0392b",
            "Linguine": "#2d3f7f",
        },
        **{
            "Rigatoni": "#3c7a5a",
            "Tagliatelle": "#d9a02f",
            "Macaroni": "#e0702f",
            "Lasagne": "#8f2f3f",
            "Orzo": "#7a9a3a",
        },
    },
    "grain": {
        **{
            "Basmati": "#0f5b3a",
            "Jasmine": "#7fae8a",
            "Risotto": "#c9a24a",
            "Whole Grain": "#8a4b12",
            "Parboiled": "#e0662a",
        },
        **{
            "Bulgur": "#b5793a",
            "Couscous": "#e3c06a",
            "Quinoa": "#9a5a7a",
            "Red Lentils": "#d9552f",
            "Wild": "#3a2f2a",
        },
    },
}

GOODS: tuple[Goods, ...] = (
    Goods("cereal", "Muesli", "carton", 0.66, 0.22, 0.17, (375, 500, 750), "sweet"),
    Goods("cereal", "Crunchy Flakes", "carton", 0.68, 0.21, 0.14, (300, 375, 600), "sweet"),
    Goods("cereal", "Oat Bar", "bag", 3.2, 0.6, 0.6, (35, 40, 50), "fruit"),
    Goods("biscuits", "Biscuits", "bag", 2.6, 0.75, 0.42, (150, 200, 300), "sweet"),
    Goods("biscuits", "Cookies", "carton", 1.9, 0.5, 0.33, (150, 225, 300), "sweet"),
    Goods("biscuits", "Wafers", "bag", 1.7, 0.42, 0.28, (75, 150, 250), "sweet"),
    Goods("chocolate", "Chocolate", "carton", 0.48, 0.065, 0.95, (80, 100, 200), "sweet"),
    Goods("chocolate", "Pralines", "carton", 1.4, 0.2, 0.4, (125, 200, 400), "sweet"),
    Goods("sweets", "Gummy Bears", "bag", 0.72, 0.22, 0.4, (100, 200, 300), "fruit"),
    Goods("sweets", "Chewing Gum", "blister", 0.6, 0.16, 0.35, (24, 30), "fruit"),
    Goods("snacks", "Crisps", "bag", 0.68, 0.3, 0.045, (90, 150, 175, 250), "savoury"),
    Goods("snacks", "Stacked Crisps", "can", 0.33, 0.33, 0.24, (40, 165, 190), "savoury"),
    Goods("snacks", "Nuts", "pouch", 0.72, 0.28, 0.28, (125, 150, 200, 400), "savoury"),
    Goods("snacks", "Crackers", "carton", 0.75, 0.28, 0.22, (100, 150, 200), "savoury"),
    Goods("pasta", "Pasta", "bag", 0.42, 0.2, 0.5, (250, 500, 1000), "shape"),
    Goods("pasta", "Pasta Speciale", "carton", 0.45, 0.22, 0.5, (250, 500), "shape"),
    Goods("rice", "Rice", "carton", 0.61, 0.3, 0.72, (500, 1000), "grain"),
    Goods("rice", "Quick Grains", "pouch", 0.72, 0.2, 0.45, (220, 250), "grain"),
    Goods("soup", "Soup", "can", 0.68, 0.68, 0.78, (390, 400, 800), "savoury"),
    Goods("soup", "Fresh Soup", "pouch", 0.72, 0.3, 0.6, (400, 570), "vegetable"),
    Goods("vegetables", "Preserve", "can", 0.92, 0.92, 0.77, (212, 425, 850), "vegetable"),
    Goods("vegetables", "Harvest", "jar", 0.55, 0.55, 0.72, (330, 370, 680), "vegetable"),
    Goods("sauces", "Pasta Sauce", "jar", 0.53, 0.53, 0.74, (190, 350, 400, 690), "savoury"),
    Goods("sauces", "Ketchup", "bottle", 0.36, 0.26, 0.7, (300, 500, 875), "savoury"),
    Goods("sauces", "Dressing", "bottle", 0.3, 0.3, 0.55, (250, 350, 500), "savoury"),
    Goods("sauces", "Mustard", "tube", 0.3, 0.22, 0.72, (100, 200), "savoury"),
    Goods("spreads", "Jam", "jar", 0.72, 0.72, 0.85, (225, 340, 450), "fruit"),
    Goods("spreads", "Nut Cream", "jar", 0.75, 0.75, 0.75, (200, 400, 750), "sweet"),
    Goods("spices", "Spice", "jar", 0.46, 0.46, 0.32, (35, 45, 55), "savoury"),
    Goods("spices", "Seasoning", "bag", 0.72, 0.07, 0.5, (15, 25, 50), "savoury"),
    Goods("baking", "Flour", "carton", 0.56, 0.37, 0.62, (500, 1000, 2500), "grain"),
    Goods("baking", "Cake Mix", "carton", 0.7, 0.3, 0.36, (350, 450, 600), "sweet"),
    Goods("baking", "Pudding Powder", "bag", 0.72, 0.05, 0.55, (37, 45, 80), "sweet"),
    Goods("tea", "Tea", "carton", 1.6, 0.82, 0.065, (30, 40, 50), "tea"),
    Goods("tea", "Loose Tea", "pouch", 0.62, 0.4, 0.2, (100, 200), "tea"),
    Goods("coffee", "Ground Coffee", "carton", 0.6, 0.4, 0.42, (250, 500), "roast"),
    Goods("coffee", "Coffee Beans", "pouch", 0.48, 0.3, 0.31, (250, 500, 1000), "roast"),
    Goods("coffee", "Coffee Capsules", "carton", 2.8, 1.0, 0.13, (52, 104), "roast"),
    Goods("coffee", "Instant Coffee", "jar", 0.5, 0.5, 0.16, (50, 100, 200), "roast"),
    Goods("dairy", "Milk", "gable_top", 0.36, 0.36, 0.8, (500, 1000), "dairy"),
    Goods("dairy", "UHT Milk", "carton", 0.38, 0.34, 0.95, (500, 1000), "dairy"),
    Goods("dairy", "Yoghurt Drink", "bottle", 0.38, 0.38, 0.6, (250, 500, 750), "fruit"),
    Goods("dairy", "Cheese Slices", "tray", 0.8, 0.12, 0.5, (150, 200), "savoury"),
    Goods("meat", "Cold Cuts", "tray", 0.72, 0.1, 0.42, (80, 100, 150), "savoury"),
    Goods("juice", "Juice", "gable_top", 0.37, 0.37, 0.8, (1000, 1500), "fruit"),
    Goods("juice", "Nectar", "bottle", 0.31, 0.31, 0.55, (330, 750, 1000), "fruit"),
    Goods("juice", "Smoothie", "bottle", 0.36, 0.36, 0.6, (250, 330, 750), "fruit"),
    Goods("soft drinks", "Lemonade", "bottle", 0.27, 0.27, 0.56, (500, 1000, 1500), "soda"),
    Goods("soft drinks", "Soda", "can", 0.54, 0.54, 0.75, (250, 330, 500), "soda"),
    Goods("soft drinks", "Soda Pack", "multipack", 1.63, 1.09, 0.72, (1980,), "soda", "can", 6),
    Goods("water", "Mineral Water", "bottle", 0.27, 0.27, 0.58, (500, 1000, 1500), "water"),
    Goods("water", "Mineral Water Pack", "multipack", 0.82, 0.55, 0.56, (9000,), "water", "bottle", 6),
    Goods("wine", "Wine", "bottle", 0.245, 0.245, 0.58, (750, 1500), "grape"),
    Goods("oil", "Oil", "bottle", 0.28, 0.28, 0.6, (250, 500, 750), "savoury"),
    Goods("fish", "Fish Fillets", "can", 2.2, 2.2, 0.6, (80, 150, 185), "savoury"),
    Goods("pet food", "Cat Food", "pouch", 0.72, 0.16, 0.72, (85, 100), "pet"),
    Goods("pet food", "Cat Food Box", "carton", 0.95, 0.5, 0.55, (1020, 1200), "pet"),
    Goods("pet food", "Dog Food", "can", 0.9, 0.9, 0.8, (400, 800, 1240), "pet"),
    Goods("pet food", "Dry Food", "pouch", 0.6, 0.3, 0.36, (750, 1500, 4000), "pet"),
    Goods("care", "Shampoo", "bottle", 0.36, 0.22, 0.62, (250, 300, 500), "scent"),
    Goods("care", "Shower Gel", "bottle", 0.38, 0.22, 0.62, (250, 400), "scent"),
    Goods("care", "Toothpaste", "carton", 4.4, 0.85, 0.42, (75, 100, 125), "scent"),
    Goods("care", "Hand Cream", "tube", 0.34, 0.24, 0.5, (50, 75, 100), "scent"),
    Goods("care", "Soap", "carton", 1.5, 0.55, 0.8, (100, 150), "scent"),
    Goods("care", "Razor Blades", "blister", 0.62, 0.18, 0.2, (60, 90), "scent"),
    Goods("household", "Detergent", "bottle", 0.52, 0.3, 0.55, (1000, 1500, 2750), "scent"),
    Goods("household", "Washing Powder", "carton", 0.75, 0.42, 0.62, (1200, 2500, 5000), "scent"),
    Goods("household", "Cleaner", "bottle", 0.36, 0.24, 0.6, (500, 750, 1000), "scent"),
    Goods("household", "Dishwasher Tabs", "pouch", 0.8, 0.4, 0.45, (450, 700, 1100), "scent"),
    Goods("household", "Batteries", "blister", 0.68, 0.13, 0.65, (48, 95, 190), "water"),
)

LINES: tuple[str, ...] = (
    *(
        "",
        "",
        "",
        "Bio",
        "Classic",
        "Light",
        "Family",
        "Premium",
        "Original",
        "Vegan",
        "Protein",
        "Extra",
        "Zero Sugar",
    ),
)
STARTS: tuple[str, ...] = (
    *("Al", "Bar", "Bel", "Bon", "Cal", "Dor", "El", "Fal", "Gar", "Hal", "Il", "Jor", "Kal", "Lan", "Mar", "Nor"),
    *("Ol", "Pal", "Quin", "Ros", "Sal", "Tor", "Ul", "Val", "Wen", "Yar", "Zel", "Bri", "Cres", "Dra", "Flo", "Gri"),
)
MIDDLES: tuple[str, ...] = (
    *("a", "e", "i", "o", "u", "ani", "eli", "ora", "uti", "ena", "ibo", "aro", "ima", "eco", "osi", "ul", "ar", "en"),
)
ENDS: tuple[str, ...] = (
    *(
        "da",
        "ta",
        "na",
        "ra",
        "la",
        "ssa",
        "no",
        "to",
        "ro",
        "lo",
        "ck",
        "rt",
        "nd",
        "ll",
        "lle",
        "nne",
        "tti",
        "ni",
        "s",
    ),
)
