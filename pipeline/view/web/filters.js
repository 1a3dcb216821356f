// Filters: which pictures of a set are shown. One pass over columns of numbers, so that 50,000 pictures with a million
// boxes take some ten milliseconds.
"use strict";
SynthView.filters = (() => {
  const NONE = { q: "", split: "", recipe: "", source: "", category: "", sku: "", visible: "", side: "", face: "", found: "",
    score: "0.5", order: "", picked: "" };
  const SHARE = 200, QUARTERS = 4;

  // "a-b", "a-" or "-b" as two numbers.
  function range(text) {
    const [low, high] = String(text).split("-").map(part => part.trim());
    return [low ? Number(low) : -Infinity, high ? Number(high) : Infinity];
  }

  // Names in lower case, made once: search compares them at every key.
  function lowered(set) {
    set.lowNames ??= set.names.map(name => name.toLowerCase());
    set.lowSkus ??= set.categories.map(row => row.join("\n").toLowerCase());
    return set;
  }

  // 1 for each category that a test holds for.
  function flagged(set, test) {
    return Uint8Array.from(set.categories, (row, place) => (test(row, place) ? 1 : 0));
  }

  function apply(set, filter, selection) {
    const tests = [];
    for (const [name, values, column] of [["split", set.splits, set.split], ["recipe", set.recipes, set.recipe],
      ["source", set.sources, set.source]]) {
      if (filter[name]) {
        const wanted = values.indexOf(filter[name]);
        tests.push(place => column[place] === wanted);
      }
    }
    if (filter.picked) tests.push(place => selection.has(place));
    for (const word of filter.q.toLowerCase().split(/\s+/).filter(Boolean)) tests.push(wordTest(set, word));
    const boxTest = set.boxes && testOfBoxes(set, filter);
    if (boxTest) tests.push(boxTest);
    const foundTest = set.boxes && set.found && filter.found && testOfFound(set, filter);
    if (foundTest) tests.push(foundTest);
    const kept = [];
    for (let place = 0; place < set.count; place++) {
      let passes = true;
      for (let test = 0; passes && test < tests.length; test++) passes = tests[test](place);
      if (passes) kept.push(place);
    }
    return ordered(set, kept, filter);
  }

  // A word is in the name of the file, or in the key, name or category of a product in the picture.
  function wordTest(set, word) {
    const { lowNames, lowSkus } = lowered(set);
    const skus = Uint8Array.from(lowSkus, text => (text.includes(word) ? 1 : 0));
    const any = set.boxes && skus.includes(1);
    return place => lowNames[place].includes(word) || (any && hasBox(set, place, box => skus[set.boxes.category[box]]));
  }

  function hasBox(set, place, test) {
    const { starts } = set.boxes;
    for (let box = starts[place]; box < starts[place + 1]; box++) if (test(box)) return true;
    return false;
  }

  // One box has to meet all conditions on boxes together; null without any.
  function boxCondition(set, filter) {
    const { category, visibility, width, height } = set.boxes, tests = [];
    if (filter.sku || filter.category) {
      const wanted = flagged(set, row => (!filter.sku || row[0] === filter.sku) && (!filter.category || row[2] === filter.category));
      tests.push(box => wanted[category[box]] === 1);
    }
    if (filter.visible) {
      const [low, high] = range(filter.visible).map(percent => percent / 100 * SHARE);
      tests.push(box => visibility[box] <= SHARE && visibility[box] >= low && visibility[box] <= high);
    }
    if (filter.side) {
      const [low, high] = range(filter.side).map(side => side * QUARTERS);
      tests.push(box => { const side = Math.min(width[box], height[box]); return side >= low && side <= high; });
    }
    if (filter.face) {
      const wanted = set.views.indexOf(filter.face);
      tests.push(box => set.boxes.view[box] === wanted);
    }
    return tests.length ? box => tests.every(test => test(box)) : null;
  }

  function testOfBoxes(set, filter) {
    const condition = boxCondition(set, filter);
    return condition && (place => hasBox(set, place, condition));
  }

  // Pictures with a detection that is right (tp) or wrong (fp), or a product that is missed (fn), at the score.
  function testOfFound(set, filter) {
    const { starts, score, status, category, best } = set.found, least = Number(filter.score), boxes = set.boxes;
    const wanted = filter.sku || filter.category
      ? flagged(set, row => (!filter.sku || row[0] === filter.sku) && (!filter.category || row[2] === filter.category)) : null;
    if (filter.found === "fn") {
      return place => set.found.judged[place] && hasBox(set, place, box =>
        !boxes.ignored[box] && best[box] < least && (!wanted || wanted[boxes.category[box]]));
    }
    const code = filter.found === "tp" ? 1 : 0;
    return place => {
      for (let row = starts[place]; row < starts[place + 1]; row++) {
        if (status[row] === code && score[row] >= least && (!wanted || wanted[category[row]])) return true;
      }
      return false;
    };
  }

  // Mistakes in a picture at a score: wrong detections and missed products.
  function mistakes(set, place, least) {
    const { starts, score, status, best } = set.found;
    let count = 0;
    for (let row = starts[place]; row < starts[place + 1]; row++) count += status[row] === 0 && score[row] >= least;
    for (let box = set.boxes.starts[place]; box < set.boxes.starts[place + 1]; box++) {
      count += set.found.judged[place] && !set.boxes.ignored[box] && best[box] < least;
    }
    return count;
  }

  function ordered(set, kept, filter) {
    const key = {
      most: place => -(set.boxes.starts[place + 1] - set.boxes.starts[place]),
      fewest: place => set.boxes.starts[place + 1] - set.boxes.starts[place],
      worst: set.found && (place => -mistakes(set, place, Number(filter.score))),
    }[filter.order];
    if (!key || !set.boxes) return kept;
    const keys = new Map(kept.map(place => [place, key(place)]));
    return kept.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
  }

  return { NONE, apply, boxCondition };
})();
