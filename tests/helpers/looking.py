"""What is measured of a page in a browser: texts that overlap, are cut or stick out. Runs nothing by itself."""

TEXTS = """
() => {
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const shown = (one) => one.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  while (walker.nextNode()) {
    const node = walker.currentNode, host = node.parentElement;
    if (!node.data.trim() || !shown(host) || host.closest("script, style, title, option, .u-hz, select")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const scrolls = host.closest(".scroll");
    const frame = host.closest("svg");
    for (const box of range.getClientRects()) {
      if (box.width < 1) continue;
      seen.push({
        text: node.data.trim().slice(0, 50), left: box.left, right: box.right, top: box.top + scrollY,
        bottom: box.bottom + scrollY, inside: frame ? frame.getBoundingClientRect().toJSON() : null, scrolls: !!scrolls,
      });
    }
  }
  return { texts: seen, width: document.documentElement.scrollWidth, visible: document.documentElement.clientWidth };
}
"""
"""Evaluates to the boxes in CSS pixels of all texts that a reader sees, and the widths of the page and the window."""

HALF = 0.5
SLACK_PX = 2.0


def faults(seen, *, may_scroll=True):
    """Return a sentence for each text that overlaps another, leaves its figure, or the page where it cannot scroll."""
    texts = sorted(seen["texts"], key=lambda one: one["top"])
    found = [f"the page is {seen['width']} px wide"] if seen["width"] > seen["visible"] else []
    for one in texts:
        frame = one["inside"]
        if frame and (one["left"] < frame["left"] - SLACK_PX or one["right"] > frame["right"] + SLACK_PX):
            found.append(f"{one['text']!r} leaves its figure")
        if one["right"] > seen["visible"] + SLACK_PX and not (may_scroll and one["scrolls"]):
            found.append(f"{one['text']!r} is cut at the right")
    return found + [f"{one['text']!r} lies on {other['text']!r}" for one, other in _overlapping(texts)]


def _overlapping(texts):
    """Yield the pairs that share half of the lower one's height, and more than a hair's width. A box is a line's."""
    standing = []
    for one in texts:
        standing = [other for other in standing if other["bottom"] > one["top"]]
        for other in standing:
            high = min(one["bottom"], other["bottom"]) - one["top"]
            wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
            least = min(one["bottom"] - one["top"], other["bottom"] - other["top"])
            if wide > SLACK_PX and high > HALF * least:
                yield other, one
        standing.append(one)
