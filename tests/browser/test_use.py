"""For everybody: keyboard only, both themes, less motion, small screens, and a node that goes away."""

import pytest

from tests.browser.conftest import Page

CONTRAST = """
const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number);
  const scale = c.startsWith('color(') ? 255 : 1;
  return [m[0] * scale, m[1] * scale, m[2] * scale, m[3] ?? 1]; };
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => { v /= 255;
  return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (e) => { const layers = []; for (; e; e = e.parentElement)
  { const c = parse(getComputedStyle(e).backgroundColor); if (c[3]) layers.push(c); if (c[3] === 1) break; }
  return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
const bad = new Map();
let looked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode, e = text.parentElement;
  if (!text.data.trim() || !e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
  if (e.closest('.sr, .skip, [disabled], script, noscript')) continue;
  const style = getComputedStyle(e), svg = e instanceof SVGElement;
  let under = ground(e);
  const block = svg && e.closest('.block');
  if (block) under = over(parse(getComputedStyle(block.querySelector('rect')).fill), under);
  const ink = over(parse(svg ? style.fill : style.color), under);
  const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  looked += 1;
  const name = `${e.tagName}.${e.className.baseVal ?? e.className}`;
  if (ratio < (large ? 3 : 4.5)) bad.set(name, ratio.toFixed(2));
}
return [looked, [...bad]];
"""
NAMELESS = """
const words = (ids) => ids.split(' ').map((id) => document.getElementById(id)?.textContent).join('');
const name = (e) => e.getAttribute('aria-label') || e.textContent.trim() || e.title ||
  [...(e.labels ?? [])].map((l) => l.textContent).join('') ||
  words(e.getAttribute('aria-labelledby') || '');
const used = 'a, button, input, select, summary, [role=region], [role=img], table, dialog';
const nameless = [...document.querySelectorAll(used)]
  .filter((e) => e.checkVisibility() && !name(e)).map((e) => e.outerHTML.slice(0, 120));
const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
const twice = ids.filter((id, i) => ids.indexOf(id) !== i);
return [nameless, twice, [...document.querySelectorAll('img')].filter((e) => !e.hasAttribute('alt')).length];
"""
VIEWS = ["#/", "#/validators", "#/developer", "#/block/2", "#/shard/0/block/1", "#/search/nobody"]


def views(page: Page) -> list[str]:
    tx = page.transfer()
    account = page.network.account(0).address
    return [*VIEWS, f"#/tx/{tx}", f"#/address/{account}"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(page: Page, theme: str) -> None:
    browser = page.browser
    browser.media(prefers_color_scheme=theme, prefers_reduced_motion="reduce")
    paths = views(page)
    page.open()
    is_dark = "return matchMedia('(prefers-color-scheme: dark)').matches"
    browser.gives(is_dark, theme == "dark", f"the {theme} theme")
    for path in paths:
        page.go(path)
        browser.gives(CONTRAST, lambda found: found[0] > 10 and not found[1], f"contrast in {path}")


def test_what_can_be_used_has_a_name(page: Page) -> None:
    browser = page.browser
    paths = views(page)
    page.open()
    for path in paths:
        page.go(path)
        browser.gives(NAMELESS, [[], [], 0], f"names for all in {path}")


def test_the_theme_is_the_systems_until_another_is_chosen_and_that_stays(page: Page) -> None:
    browser = page.browser

    def ground() -> str:
        return str(browser.run("return getComputedStyle(document.body).backgroundColor"))

    browser.media(prefers_color_scheme="dark")
    page.open()
    dark = ground()
    browser.media(prefers_color_scheme="light")
    light = browser.is_soon(ground, lambda found: found != dark, "another theme")
    browser.click("#theme")
    browser.is_soon(ground, dark, "the dark theme")
    page.open()
    browser.is_soon(ground, dark, "the dark theme, which was chosen")
    browser.press("t")
    browser.is_soon(ground, light, "the light theme")
    pressed = "return document.getElementById('theme').ariaPressed"
    browser.gives(pressed, "false", "a button that is not pressed")


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 6, "blocks")
    browser.press("Tab")
    browser.focuses("To the content")
    walked = []
    for _ in range(14):
        browser.press("Tab")
        walked.append(browser.focused())
    for part in ("Overview", "Validators", "Developer", "input #query", "#theme", "#help-button"):
        assert any(part in stop for stop in walked), (part, walked)
    assert any(stop.startswith("button #pause") for stop in walked)
    assert sum("block" in stop.lower() and stop.startswith("a ") for stop in walked) == 1, walked

    browser.press("p")  # it stands still while we walk through it
    browser.run("document.querySelector('.lanes .block[tabindex=\"0\"]').focus()")
    browser.focuses("Network block")
    start = browser.focused()
    browser.press("ArrowLeft")
    browser.is_soon(browser.focused, lambda found: found != start, "another block in focus")
    browser.press("ArrowRight")
    browser.is_soon(browser.focused, start, "the first block in focus")
    browser.press("ArrowDown")
    browser.focuses("of shard 0")
    browser.press("ArrowDown")
    browser.focuses("of shard 1")
    browser.has('.lanes .block[tabindex="0"]', 1)
    browser.press("Enter")
    browser.shows("#main h1", "Shard 1 block")

    browser.press("?")
    browser.shows("#help", "Keys")
    browser.gives("return document.getElementById('help').open", True, "an open dialog")
    browser.press("Escape")
    browser.lacks("#help")
    browser.press("/")
    browser.focuses("input #query")
    browser.press("v")  # a letter in a field is a letter
    browser.gives("return document.getElementById('query').value", "v", "the letter")
    browser.press("Escape")
    browser.press("v")
    browser.shows("#main h1", "Validators")
    browser.press("d")
    browser.shows("#main h1", "Developer")
    browser.press("o")
    browser.shows("#main", "Blocks and messages")


@pytest.mark.parametrize("part", [".votes a", ".matrix", "details[open] a", ".block:last-child"])
def test_what_has_the_focus_keeps_it_while_the_network_goes_on(page: Page, part: str) -> None:
    browser = page.browser
    page.open()
    browser.until(lambda: browser.count(".votes a") > 3, "votes")
    browser.run("document.querySelector('details.alternative').open = true")
    browser.until(lambda: browser.count(part) > 0, part)
    focus = "const e = document.querySelector(arguments[0]).closest('a, .scroll'); e.focus();"
    browser.run(focus + "window.role = e.parentElement.tagName + e.tagName", part)
    head = page.number("block")
    browser.until(lambda: page.number("block") > head + 2, "blocks to grow")
    script = "const e = document.activeElement; return e.parentElement.tagName + e.tagName === role"
    browser.is_still(lambda: browser.run(script), True, "the focus where it was")


def test_what_has_the_focus_can_be_seen(page: Page) -> None:
    browser = page.browser
    page.open()
    for _ in range(8):
        browser.press("Tab")
        browser.gives(
            "const s = getComputedStyle(document.activeElement);"
            "return s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth)",
            lambda width: width >= 2,
            f"an outline of {browser.focused()}",
        )


def test_less_motion_where_that_is_wished(page: Page) -> None:
    browser = page.browser
    browser.media(prefers_reduced_motion="reduce")
    page.open()
    with page.network.faults.stop("s1v0"):
        page.transfer()
        browser.until(lambda: browser.count(".lanes .arrow.moving .line") > 0, "an arrow")
        moving = (
            "const line = document.querySelector('.arrow.moving .line');"
            "return line && getComputedStyle(line).animationName"
        )
        browser.gives(moving, "none", "no motion")
        browser.media(prefers_reduced_motion="no-preference")
        browser.gives(moving, "travel", "motion")
    browser.has(".lanes .arrow.moving", 0)


@pytest.mark.parametrize("width", [390, 820, 1920])
def test_no_width_makes_the_page_scroll_sideways(page: Page, width: int) -> None:
    browser = page.browser
    browser.size(width, 800)
    page.open()
    browser.until(lambda: browser.count(".lanes .block") > 2, "blocks")
    for path in VIEWS:
        page.go(path)
        wide = "return document.documentElement.scrollWidth"
        browser.gives(wide, lambda found: found <= width, f"no more than {width} pixels in {path}")


def test_a_node_that_is_killed_is_said_to_be_away_and_comes_back(page: Page) -> None:
    browser, network = page.browser, page.network
    page.may_complain = True
    page.open()
    browser.until(lambda: page.number("block") > 0, "a network block")
    before = page.number("block")
    network.faults.kill("s0v0")
    browser.shows("#away", "This node does not answer")
    browser.shows("#connection", "Node away")
    browser.shows("#away-when", "Trying")
    browser.is_still(lambda: page.number("block"), lambda n: n >= before, "what was known")
    network.up()
    browser.shows("#connection", "Node s0v0", 60)
    browser.lacks("#away")
    browser.until(lambda: page.number("block") > before + 1, "blocks to grow again", 60)
    page.transfer()
    browser.until(lambda: browser.count(".lanes .arrow") > 0, "messages to be told again")
