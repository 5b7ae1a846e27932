"""The page of a training step, opened in a headless Chromium and used as a person would.

page_test.py MAKE_PAGES — exits with 77, which ctest calls skipped, where there is no Chromium.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, find_chromium  # noqa: E402

PAGES = ("iris", "digits", "adam", "regression", "recurrent", "lstm", "deep")
browser = None
folder = None


def page(name):
    return os.path.join(folder, name + ".html")


def centre(selector, index=0):
    return browser.value(
        f"(() => {{ const b = document.querySelectorAll({selector!r})[{index}].getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()")


def text(selector):
    return browser.value(f"document.querySelector({selector!r})?.innerText ?? null")


def unit(name, index):
    return browser.value(
        f"(() => {{ const c = parts.columns.find((c) => c.name === {name!r}); const b = parts.svg.getBoundingClientRect();"
        f" return [b.x + c.x, b.y + c.y({index})]; }})()")


def address():
    """The address, which follows the state a moment later."""
    return browser.value("new Promise((done) => setTimeout(() => done(location.hash), 120))")


class PageTest(unittest.TestCase):
    def setUp(self):
        self.clean = True

    def tearDown(self):
        if self.clean:
            self.assertEqual(browser.complaints(), [])

    def test_a_planted_mistake_is_noticed(self):
        browser.open(page("iris"))
        browser.call("Runtime.evaluate", expression="setTimeout(() => nothing.of.the.kind)")
        browser.value("new Promise((done) => setTimeout(done, 20))")
        self.assertIn("nothing is not defined", str(browser.complaints()))
        self.clean = False

    def test_every_page_and_stage_draws_without_complaint_and_fits(self):
        for name in PAGES:
            for width, touch in ((1280, False), (390, True)):
                for dark in (False, True):
                    with self.subTest(name, width=width, dark=dark):
                        browser.open(page(name), width=width, height=844, dark=dark, touch=touch)
                        stages = browser.value("stages.length")
                        self.assertGreater(stages, 5)
                        for stage in range(stages):
                            browser.value(f"change({{stage: {stage}}})")
                            self.assertEqual(browser.value("state.stage"), stage)
                            self.assertLessEqual(browser.value("document.documentElement.scrollWidth"), width)
                        self.assertEqual(browser.complaints(), [])

    def test_nothing_is_called_undefined_or_nan(self):
        for name in PAGES:
            browser.open(page(name))
            words = browser.value("""(() => {
              let all = '';
              for (let i = 0; i < stages.length; ++i) {
                change({stage: i});
                all += document.body.innerText + document.querySelector('svg').outerHTML;
                for (const c of parts.columns) {
                  change({selection: {value: c.name, index: 0}});
                  all += document.getElementById('panel').innerText;
                }
                change({selection: null});
              }
              return all;
            })()""")
            self.assertNotRegex(words, r"undefined|NaN|\[object")

    def test_every_shown_sum_is_the_number_that_the_library_computed(self):
        for name in PAGES:
            browser.open(page(name), fragment="#stage=99")
            worst = browser.value("""(() => {
              let [checked, worst] = [0, ''];
              for (state.row of [0, data.rows - 1]) for (const v of values.values()) {
                if (v.recipe?.op !== 'terms' && v.recipe?.op !== 'softmax' && v.name !== 'loss') continue;
                for (let j = 0; j < Math.min(12, width(v)); ++j) {
                  const a = account(v, j);
                  let sum = a.terms.reduce((s, t) => s + t.product, a.constant?.product ?? 0);
                  if (a.mean) sum /= a.terms.length;
                  if (a.softmax) sum = Math.exp(a.softmax.x) / sum;
                  const scale = Math.max(...a.terms.map((t) => Math.abs(t.product)), 1e-6);
                  if (Math.abs(sum - a.result) > 1e-5 * scale) worst = `${v.name}[${j}]: ${sum}, not ${a.result}`;
                  checked += 1;
                }
              }
              return [checked, worst];
            })()""")
            self.assertGreater(worst[0], 20)
            self.assertEqual(worst[1], "", name)

    def test_elementwise_formulas_with_numbers_in_them_give_the_number(self):
        browser.open(page("iris"), fragment="#stage=99")
        lines = browser.value("""[...values.values()].filter((v) => v.recipe?.op === 'elementwise').flatMap(
            (v) => [...Array(width(v)).keys()].map((j) => account(v, j)).map((a) => [v.name, a.line, a.result]))""")
        self.assertGreater(len(lines), 30)
        for name, line, result in lines:
            code = line.replace("−", "-").replace("·", "*").replace("tanh", "np.tanh")
            code = re.sub(r"(\d)e-", r"\1e-", code).replace("²", "**2")
            import numpy as np
            self.assertAlmostEqual(eval(code, {"np": np}), result, delta=2e-2 * max(1, abs(result)), msg=f"{name}: {line}")

    def test_the_slider_and_its_keys(self):
        browser.open(page("iris"))
        title = text("#title")
        browser.key("ArrowRight")
        self.assertEqual(browser.value("state.stage"), 1)
        self.assertNotEqual(text("#title"), title)
        self.assertEqual(address(), "#stage=1")
        browser.key("End")
        self.assertEqual(text("#title"), "The update")
        browser.key("ArrowLeft")
        browser.key("Home")
        self.assertEqual(text("#title"), title)
        browser.click(*centre("#forth"))
        self.assertEqual(browser.value("state.stage"), 1)
        browser.value("document.getElementById('slider').focus()")
        browser.key("ArrowRight")
        self.assertEqual(browser.value("state.stage"), 2)
        browser.click(*centre("#ticks span", 4))
        self.assertEqual(text("#title"), "The loss: one number for the whole batch")

    def test_the_example_can_be_chosen(self):
        browser.open(page("iris"), fragment="#stage=4")
        first = text("#panel")
        browser.key("]")
        self.assertEqual(browser.value("[state.row, document.getElementById('row').selectedIndex].join()"), "1,1")
        self.assertEqual(address(), "#stage=4&row=1")
        browser.key("[")
        self.assertEqual(text("#panel"), first)

    def test_hovering_a_unit_and_a_weight_shows_how_they_came_about(self):
        browser.open(page("iris"), fragment="#stage=1")
        browser.move(*unit("Z1", 2))
        shown = text("#panel")
        self.assertIn("unit 2 of example 0", shown)
        self.assertIn("sum", shown)
        # Half-way along a weight, from which no unit is near.
        line = browser.value("""(() => { const l = parts.gaps[0].lines[1]; const b = parts.svg.getBoundingClientRect();
            return [b.x + l.x1 + 0.4 * (l.x2 - l.x1), b.y + l.y1 + 0.4 * (l.y2 - l.y1)]; })()""")
        browser.move(*line)
        self.assertIn("weight from sepal_length to unit 1", text("#panel"))
        browser.move(5, 5)
        self.assertIn("Choose a unit", text("#panel"))

    def test_a_click_holds_the_details_and_escape_closes_them(self):
        browser.open(page("iris"), fragment="#stage=1")
        at = unit("Z1", 1)
        browser.move(*at)
        browser.click(*at)
        browser.move(5, 5)
        self.assertIn("unit 1 of example 0", text("#panel"))
        self.assertIn("select=Z1[1]", address())
        browser.key("Escape")
        self.assertIn("Choose a unit", text("#panel"))

    def test_a_tap_opens_a_sheet_that_closes(self):
        browser.open(page("iris"), width=390, height=844, touch=True, fragment="#stage=1")
        browser.tap(*unit("Z1", 1))
        self.assertTrue(browser.value("document.getElementById('panel').classList.contains('open')"))
        self.assertIn("unit 1 of example 0", text("#panel"))
        browser.tap(*centre(".close"))
        self.assertFalse(browser.value("document.getElementById('panel').classList.contains('open')"))

    def test_the_drawing_by_keyboard(self):
        browser.open(page("iris"), fragment="#stage=8")
        for _ in range(20):
            if browser.value("document.activeElement.closest('#drawing') !== null"):
                break
            browser.key("Tab")
        self.assertEqual(browser.value("selectionText(state.selection)"), "X[0]")
        browser.key("ArrowDown")
        browser.key("ArrowRight")
        self.assertEqual(browser.value("selectionText(state.selection)"), "Z1[1]")
        self.assertEqual(browser.value("state.stage"), 8)
        self.assertIn("Z1 unit 1", browser.value("document.activeElement.getAttribute('aria-label')"))
        self.assertNotEqual(browser.value("getComputedStyle(document.activeElement.querySelector('.unit')).strokeWidth"), "1px")
        browser.key("w")
        browser.key("w")
        self.assertEqual(browser.value("selectionText(state.selection)"), "W1[1,1]")
        self.assertIn("gradient", text("#panel"))
        browser.key("Escape")
        self.assertIsNone(browser.value("state.selection"))

    def test_the_keys_are_listed(self):
        browser.open(page("iris"))
        browser.key("?", "Slash", shift=True)
        self.assertTrue(browser.value("document.getElementById('keys').open"))
        self.assertIn("one stage back, on", text("#keys"))

    def test_light_and_dark(self):
        paper = "getComputedStyle(document.body).backgroundColor"
        browser.open(page("iris"))
        light = browser.value(paper)
        browser.key("t")
        dark = browser.value(paper)
        self.assertNotEqual(light, dark)
        browser.open(page("iris"), dark=True)
        self.assertEqual(browser.value(paper), dark)
        browser.click(*centre("#theme"))
        self.assertEqual(browser.value(paper), light)

    def test_texts_can_be_read_on_their_ground(self):
        contrast = """(() => {
          const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
          const rgb = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data]; };
          const light = (c) => c.slice(0, 3).map((x) => x / 255).map((s) => s <= .04045 ? s / 12.92 : ((s + .055) / 1.055) ** 2.4)
            .reduce((sum, x, i) => sum + x * [.2126, .7152, .0722][i], 0);
          const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (rgb(c)[3] === 255) return rgb(c); } return rgb(getComputedStyle(document.body).backgroundColor); };
          let worst = [21, ''];
          for (let stage = 0; stage < stages.length; ++stage) {
            change({ stage });
            for (const e of document.querySelectorAll('main *, header *')) {
              const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
              if (!own || e.disabled || !e.checkVisibility()) continue;
              const style = getComputedStyle(e);
              const svg = e.closest('svg');
              const unit = e.classList.contains('number') ? e.parentElement.querySelector('.unit') : null;
              const back = unit ? rgb(getComputedStyle(unit).fill) : svg ? rgb(getComputedStyle(document.body).backgroundColor) : ground(e);
              let fade = 1;
              for (let p = e; p; p = p.parentElement) fade *= Number(getComputedStyle(p).opacity);
              const ink = rgb(svg ? style.fill : style.color).slice(0, 3).map((x, i) => x * fade + back[i] * (1 - fade));
              const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
              const ratio = (a + .05) / (b + .05);
              if (ratio < worst[0]) worst = [ratio, `${e.tagName}.${e.className?.baseVal ?? e.className} "${e.textContent.slice(0, 30)}" in stage ${stage}`];
            }
          }
          return worst;
        })()"""
        for name in ("iris", "recurrent"):
            for dark in (False, True):
                browser.open(page(name), dark=dark)
                ratio, where = browser.value(contrast)
                self.assertGreaterEqual(ratio, 4.5, f"{name}, dark={dark}: {where}")

    def test_buttons_have_names(self):
        browser.open(page("digits"), fragment="#stage=3")
        nameless = browser.value("""[...document.querySelectorAll('button, input, select, [role=button], [role=img]')].filter(
            (e) => !(e.getAttribute('aria-label') || e.labels?.length || e.innerText)).map((e) => e.outerHTML)""")
        self.assertEqual(nameless, [])

    def test_a_large_matrix_is_a_heat_map_and_a_small_one_a_table(self):
        browser.open(page("digits"), fragment="#stage=1")
        self.assertTrue(browser.value("document.querySelector('figure[data-value=W1] canvas') !== null"))
        browser.open(page("iris"), fragment="#stage=1")
        self.assertEqual(browser.value("document.querySelectorAll('figure[data-value=W1] td').length"), 16)

    def test_a_recurrent_network_is_drawn_unrolled(self):
        browser.open(page("recurrent"))
        self.assertEqual(browser.value("parts.columns.filter((c) => c.time).length"), 16)
        browser.value("change({stage: stages.findIndex((s) => s.mark === 'dH1_3')})")
        self.assertIn("Through time", text("#panel"))
        self.assertIn("Jacobian", text("#story"))
        norms = browser.value("data.sequences[0].norms.map((n) => n[0])")
        self.assertAlmostEqual(norms[-1], 1)


def main():
    global browser, folder
    if find_chromium() is None:
        print("skipped: there is no chromium here")
        return 77
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        subprocess.run([sys.argv[1], folder], check=True)
        return not unittest.main(argv=sys.argv[:1] + sys.argv[2:], exit=False).result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
