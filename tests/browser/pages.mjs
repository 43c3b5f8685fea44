// Looks at every page as people do, and fails on what would be in somebody's way. Run by tests/browser.sh.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.TOOLS}/`);
const { chromium } = require("playwright-core");
const { AxeBuilder } = require("@axe-core/playwright");

const SITE = process.env.SITE;
const named = process.argv.slice(2).filter((word) => !word.startsWith("--"));
// {today-5} in an address is a day of the seed.
const daysAgo = (_, days) => new Date(Date.now() - days * 86400000).toISOString().slice(0, 10);
const written = readFileSync(new URL("pages.json", import.meta.url), "utf8").replace(/\{today-(\d+)\}/g, daysAgo);
const PAGES = JSON.parse(written).filter((page) => named.length === 0 || named.includes(page.name));
const ONLY_SCREENS = process.argv.includes("--screens");
const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 860 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 860 } },
  narrow: { colorScheme: "light", viewport: { width: 360, height: 740 } },
};
// What a person or a program can go to with the keyboard.
const REACHABLE = "a[href], button, select, input:not([type=hidden]), textarea, summary, [tabindex='0']";

const faults = [];
const fault = (where, what) => { faults.push(`${where}: ${what}`); console.log(`  ✕ ${where}: ${what}`); };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});

for (const page of ONLY_SCREENS ? [] : PAGES) {
  for (const [look, options] of Object.entries(LOOKS)) {
    for (const javaScriptEnabled of [true, false]) {
      await visit(page, look, { ...options, javaScriptEnabled });
    }
  }
  await byKeyboard(page);
  console.log(`${page.name} looked at`);
}
for (const page of ONLY_SCREENS ? [] : PAGES.filter((page) => !page.status)) await staysFresh(page);
if (!ONLY_SCREENS) await standsStill();
if (!ONLY_SCREENS) await asksOneAtATime();
if (ONLY_SCREENS) await screens();
await browser.close();

if (faults.length > 0) {
  console.error(`${faults.length} faults`);
  process.exit(1);
}
console.log(`${PAGES.length} pages: no fault`);

// A page in a window of its own, with everything noted that goes wrong in it.
async function open(page, where, options) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  tab.on("pageerror", (error) => fault(where, `a script failed: ${error}`));
  tab.on("console", (message) => {
    // The browser itself says of a page that its status is 404.
    const isStatus = page.status && message.text().includes(`the server responded with a status of ${page.status}`);
    if (["error", "warning"].includes(message.type()) && !isStatus) fault(where, `console: ${message.text()}`);
  });
  tab.on("request", (request) => {
    if (!request.url().startsWith(`${SITE}/`)) fault(where, `asks elsewhere: ${request.url()}`);
  });
  tab.on("requestfailed", (request) => fault(where, `not loaded: ${request.url()} ${request.failure()?.errorText}`));
  await tab.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  const answer = await tab.goto(SITE + page.path, { waitUntil: "load" });
  if (answer.status() !== (page.status ?? 200)) fault(where, `status ${answer.status()}`);
  return { context, tab };
}

async function visit(page, look, options) {
  const where = `${page.name} (${look}${options.javaScriptEnabled ? "" : ", no JavaScript"})`;
  const { context, tab } = await open(page, where, options);
  const heading = await tab.locator("h1").innerText();
  if (page.headingBegins ? !heading.startsWith(page.headingBegins) : heading !== page.heading) fault(where, `is called ${heading}`);
  const width = await tab.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (width[0] > width[1]) fault(where, `is ${width[0]} pixels wide in a window of ${width[1]}`);
  if ((await tab.locator("body").innerText()).includes("undefined")) fault(where, "says undefined");
  if (options.javaScriptEnabled) {
    const { violations } = await new AxeBuilder({ page: tab }).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]).analyze();
    for (const found of violations.filter((found) => ["serious", "critical", "moderate"].includes(found.impact))) {
      fault(where, `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 120)} (${node.any[0]?.message ?? ""})`).join("; ")}`);
    }
  }
  await context.close();
}

// Tab leads to everything that can be used, in the order in which it is read, and shows where it is.
async function byKeyboard(page) {
  const where = `${page.name} (keyboard)`;
  const { context, tab } = await open(page, where, LOOKS.light);
  const all = await tab.evaluate((reachable) => {
    const seen = [...document.querySelectorAll(reachable)].filter((one) => one.checkVisibility());
    seen.forEach((one, place) => { one.dataset.place = place; });
    return seen.length;
  }, REACHABLE);
  const reached = [];
  for (let step = 0; step < all + 5; step++) {
    await tab.keyboard.press("Tab");
    const at = await tab.evaluate(() => {
      const one = document.activeElement;
      if (!one || one === document.body) return null;
      const style = getComputedStyle(one);
      const box = one.getBoundingClientRect();
      return {
        place: Number(one.dataset.place ?? -1),
        html: one.outerHTML.slice(0, 120),
        isShown: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.bottom > 0 && box.top < innerHeight,
      };
    });
    if (!at) break;
    reached.push(at.place);
    if (!at.isShown) fault(where, `nobody sees the focus on ${at.html}`);
  }
  const missing = [...Array(all).keys()].filter((place) => !reached.includes(place));
  for (const place of missing.slice(0, 3)) {
    fault(where, `Tab does not reach ${await tab.locator(`[data-place="${place}"]`).evaluate((one) => one.outerHTML.slice(0, 120))}`);
  }
  if (reached.some((place, step) => step > 0 && place >= 0 && place < reached[step - 1])) fault(where, `Tab jumps: ${reached}`);
  await tab.evaluate(() => document.activeElement?.blur());
  await tab.keyboard.press("Control+Home");
  await context.close();
}

// News come in by themselves, and leave focus and scrolling where they are.
async function staysFresh(page) {
  const where = `${page.name} (live)`;
  const context = await browser.newContext(LOOKS.light);
  const tab = await context.newPage();
  await tab.clock.install();
  await tab.goto(SITE + page.path);
  if ((await tab.locator("main[data-refresh]").count()) === 0) return context.close();
  const made = () => tab.locator(".made time").getAttribute("datetime");
  const last = tab.locator("main :is(a, summary, [tabindex='0']):visible").last();
  if ((await last.count()) > 0) await last.focus();
  // Numbers in it may change, it itself may not.
  const place = () => tab.evaluate(() => {
    const at = document.activeElement;
    return [scrollY, [at.tagName, at.getAttribute("href"), at.getAttribute("aria-label")].join(" ")];
  });
  const [before, madeBefore] = [await place(), await made()];
  // The time of the page has seconds.
  execFileSync("psql", ["-qX", process.env.DATABASE_URL, "-c", "select pg_sleep(1.1)"], { stdio: "ignore" });
  const answered = tab.waitForResponse((answer) => answer.request().resourceType() === "fetch");
  await tab.clock.fastForward(16_000);
  await answered;
  await tab.waitForFunction((was) => document.querySelector(".made time").dateTime !== was, madeBefore, { polling: 50 }).catch(() => fault(where, "is not brought up to date"));
  const after = await place();
  if (before[0] !== after[0] || before[1] !== after[1]) fault(where, `focus or scrolling moved: ${before} ${after}`);

  await tab.getByRole("button", { name: "Pause updates" }).click();
  let asked = 0;
  tab.on("request", (request) => { asked += Number(request.resourceType() === "fetch"); });
  await tab.clock.fastForward(60_000);
  if (asked > 0) fault(where, "does not pause");
  await context.close();
  console.log(`${page.name} stays up to date`);
}

// Who wants little motion is asked first.
async function standsStill() {
  const context = await browser.newContext({ ...LOOKS.light, reducedMotion: "reduce" });
  const tab = await context.newPage();
  await tab.clock.install();
  await tab.goto(SITE);
  let asked = 0;
  tab.on("request", (request) => { asked += Number(request.resourceType() === "fetch"); });
  await tab.clock.fastForward(60_000);
  if (asked > 0) fault("overview (reduced motion)", "moves by itself");
  if ((await tab.getByRole("button", { name: "Resume updates" }).count()) !== 1) fault("overview (reduced motion)", "cannot be resumed");
  await context.close();
}

// On a slow way the page waits for one answer before it asks for the next, and says what is wrong when there is none.
async function asksOneAtATime() {
  const where = "overview (slow)";
  const context = await browser.newContext(LOOKS.light);
  const tab = await context.newPage();
  await tab.clock.install();
  await tab.goto(SITE);
  let held = [];
  await tab.route("**/*", (route) => route.request().resourceType() === "fetch" ? held.push(route) : route.continue());
  await tab.clock.runFor(61_000);
  await tab.waitForTimeout(200);
  if (held.length !== 1) fault(where, `has ${held.length} requests under way at once`);
  const said = tab.locator(".live [role=status]");
  await held[0].fulfill({ status: 503, contentType: "text/html", body: "<main></main>" });
  await said.filter({ hasText: "the database does not answer" }).waitFor({ timeout: 5000 }).catch(() => fault(where, "does not say that the database is away"));
  await tab.clock.runFor(16_000);
  await tab.waitForTimeout(200);
  await held[1]?.fulfill({ status: 303, headers: { location: "/login" } });
  await said.filter({ hasText: "the session is over" }).waitFor({ timeout: 5000 }).catch(() => fault(where, "does not say that the session is over"));
  await context.close();
}

// Pictures for the documentation, none above 45 kB.
async function screens() {
  const folder = new URL("../../docs/screens/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const page of PAGES.filter((page) => page.screens !== false)) {
    for (const [look, options] of Object.entries(LOOKS)) {
      const { context, tab } = await open(page, `${page.name} (screen)`, options);
      const height = Math.min(await tab.evaluate(() => document.documentElement.scrollHeight), look === "narrow" ? 1500 : 1300);
      await tab.setViewportSize({ ...options.viewport, height });
      writeFileSync(new URL(`${page.name}-${look}.webp`, folder), await small(await tab.screenshot()));
      await context.close();
    }
  }
}

// The browser itself writes WebP, as good as fits into 45 kB: rather less of a long page than a picture nobody can read.
async function small(png) {
  const tab = await browser.newPage();
  const picture = await tab.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement("canvas");
    for (const share of [1, 0.8, 0.6, 0.4]) {
      [canvas.width, canvas.height] = [image.width, Math.round(image.height * share)];
      canvas.getContext("2d").drawImage(image, 0, 0);
      for (const quality of [0.9, 0.75, 0.6, 0.45, 0.3, 0.2, 0.15]) {
        const url = canvas.toDataURL("image/webp", quality);
        if (url.length * 0.75 < 45_000) return url;
      }
    }
    throw new Error("no picture is small enough");
  }, `data:image/png;base64,${png.toString("base64")}`);
  await tab.close();
  return Buffer.from(picture.split(",")[1], "base64");
}
