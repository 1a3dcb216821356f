// All state that a link keeps stands in the part of the address behind "#": sharing the address shares the view.
"use strict";
SynthView.state = (() => {
  const DEFAULTS = { ...SynthView.filters.NONE, tab: "grid", pic: "", set: "a", layers: "boxes,detections", pick: "" };
  // Longer selections stay out of the address: browsers and chats cut long ones.
  const MAX_PICK = 1500;

  function read() {
    const state = { ...DEFAULTS };
    for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
      if (Object.hasOwn(DEFAULTS, name)) state[name] = value;
    }
    return state;
  }

  function address(state) {
    const params = new URLSearchParams();
    for (const name of Object.keys(DEFAULTS)) if (state[name] !== DEFAULTS[name]) params.set(name, state[name]);
    return `#${params}`;
  }

  // Browsers stop pages that change their address a hundred times in half a minute, which a slider does in a second.
  const BETWEEN_MS = 400;
  let timer = 0, last = -Infinity;

  // pushes: whether the back button leads to what was before.
  function write(state, pushes) {
    clearTimeout(timer);
    const put = () => {
      const text = address(state);
      last = performance.now();
      if (text !== (location.hash || "#")) history[pushes ? "pushState" : "replaceState"](null, "", text);
    };
    if (pushes || performance.now() - last > BETWEEN_MS) put();
    else timer = setTimeout(put, BETWEEN_MS);
  }

  // Places as ranges in base 36: 1-5.9.
  function shortened(places) {
    const parts = [], sorted = [...places].sort((a, b) => a - b);
    for (let i = 0; i < sorted.length; i++) {
      let last = i;
      while (sorted[last + 1] === sorted[last] + 1) last++;
      parts.push(last > i ? `${sorted[i].toString(36)}-${sorted[last].toString(36)}` : sorted[i].toString(36));
      i = last;
    }
    const text = parts.join(".");
    return text.length > MAX_PICK ? "" : text;
  }

  function lengthened(text, count) {
    const places = new Set();
    for (const part of text ? text.split(".") : []) {
      const [first, last] = part.split("-").map(one => parseInt(one, 36));
      for (let place = first; place <= Math.min(last ?? first, count - 1); place++) places.add(place);
    }
    return places;
  }

  return { read, write, address, shortened, lengthened };
})();
