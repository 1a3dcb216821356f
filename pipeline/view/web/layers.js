// Layers on a picture. Masks are COCO's run lengths, decoded here to the pixel; no pixel of the picture is ever read,
// which pages from disk could not do.
"use strict";
SynthView.layers = (() => {
  // Red, green and blue of a hue, 0 to 1.
  function color(hue) {
    const part = shift => {
      const at = (shift + hue * 6) % 6;
      return Math.round(255 * (0.95 - 0.75 * Math.max(0, Math.min(at, 4 - at, 1))));
    };
    return [part(5), part(3), part(1)];
  }

  function css(hue) { return `rgb(${color(hue).join(" ")})`; }

  // Lengths of the runs of 0 and 1 in COCO's text: six bits to a character, five of them a number's; from the fourth
  // run on relative to the last but one.
  function runs(text) {
    const lengths = [];
    for (let i = 0; i < text.length;) {
      let value = 0, shift = 0, code;
      do {
        code = text.charCodeAt(i++) - 48;
        value += (code & 31) * 2 ** shift;
        shift += 5;
      } while (code & 32);
      if (code & 16) value -= 2 ** shift;
      lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
    }
    return lengths;
  }

  // 1 where the mask is, column by column as its runs go, of the columns from `left` on that it touches.
  function decode(text, height) {
    const spans = [];
    let at = 0;
    runs(text).forEach((length, number) => {
      if (number % 2 && length) spans.push([at, at + length]);
      at += length;
    });
    if (!spans.length) return { left: 0, columns: 0, mask: new Uint8Array(0) };
    const left = Math.floor(spans[0][0] / height), columns = Math.ceil(spans[spans.length - 1][1] / height) - left;
    const mask = new Uint8Array(columns * height);
    for (const [first, last] of spans) mask.fill(1, first - left * height, last - left * height);
    return { left, columns, mask };
  }

  // Paints masks of boxes: whole, or their outline, which is the pixels beside one that is not in the mask.
  function paint(canvas, picture, kind, chosen) {
    const { width, height } = picture, context = canvas.getContext("2d"), image = context.createImageData(width, height);
    const data = image.data, outline = kind === "amodal";
    picture.boxes.forEach((box, number) => {
      const text = outline ? box.amodalMask : box.mask;
      if (!text || (chosen >= 0 && number !== chosen)) return;
      const { left, columns, mask } = decode(text, height), [red, green, blue] = color(box.hue);
      const alpha = outline ? 255 : number === chosen ? 190 : 120;
      for (let x = 0, at = 0; x < columns; x++) {
        for (let y = 0; y < height; y++, at++) {
          if (!mask[at] || (outline && !isEdge(mask, at, y, height))) continue;
          const pixel = 4 * (y * width + left + x);
          data[pixel] = red; data[pixel + 1] = green; data[pixel + 2] = blue; data[pixel + 3] = alpha;
        }
      }
    });
    context.putImageData(image, 0, 0);
  }

  // Beyond the mask's columns there is nothing, as beyond the picture.
  function isEdge(mask, at, y, height) {
    return y === 0 || y === height - 1 || !mask[at - 1] || !mask[at + 1] || !mask[at - height] || !mask[at + height];
  }

  // The smallest box around a point: what a click on the picture means.
  function under(picture, x, y) {
    let best = -1, least = Infinity;
    picture.boxes.forEach((box, number) => {
      if (!box.box) return;
      const [left, top, width, height] = box.box;
      if (x >= left && y >= top && x < left + width && y < top + height && width * height < least) {
        [best, least] = [number, width * height];
      }
    });
    return best;
  }

  return { css, paint, under };
})();
