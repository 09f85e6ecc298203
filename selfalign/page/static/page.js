// The page of one index. Everything that comes from the server is put in as text, never as HTML.

const FIRST = 5;
const MOST = 100;
const COLOURS = ["#e69f00", "#56b4e9", "#f0e442", "#cc79a7", "#00b383", "#ff8a5c"]; // told apart by all eyes

const part = (id) => document.getElementById(id);
const [form, sentence, told, main] = ["form", "sentence", "told", "main"].map(part);
const [pictures, more, look, photo, words, note] = ["pictures", "more", "look", "photo", "words", "note"].map(part);

const state = { query: "", image: null, top: FIRST, longest: 1000, asked: null, chosen: null };

function made(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function tell(text, wrong = false) {
  told.textContent = text;
  told.classList.toggle("wrong", wrong);
}

async function ask(path, signal, more = {}) {
  let answer;
  try {
    answer = await fetch(path, { signal, ...more });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is selfalign serve still running?");
  }
  const found = await answer.json().catch(() => ({ error: `The server refused (${answer.status}).` }));
  if (!answer.ok) throw new Error(found.error);
  return found;
}

// Where we are: ?q=SENTENCE&image=ROW

function address() {
  const place = new URLSearchParams();
  if (state.query) place.set("q", state.query);
  if (state.image !== null) place.set("image", state.image);
  const words = place.toString();
  return words ? `?${words}` : location.pathname;
}

function remember() {
  if (address() !== (location.search || location.pathname)) history.pushState(null, "", address());
  document.title = state.query ? `${state.query} · SelfAlign` : "SelfAlign";
}

async function restore() {
  const place = new URLSearchParams(location.search);
  const row = place.get("image");
  sentence.value = place.get("q") ?? "";
  closeLook();
  const found = await search(sentence.value, FIRST);
  if (found && row !== null && /^\d{1,12}$/.test(row)) await open(Number(row));
}

// Searching

async function search(text, top) {
  const query = text.trim().replace(/\s+/g, " ");
  if (query.length > state.longest) {
    const most = state.longest.toLocaleString("en");
    tell(`A sentence has at most ${most} characters; this one has ${query.length.toLocaleString("en")}.`, true);
    return false;
  }
  state.asked?.abort();
  state.asked = new AbortController();
  state.query = query;
  state.top = top;
  part("examples").hidden = query !== "" || part("examples").childElementCount < 2;
  forget();
  if (!query) {
    pictures.replaceChildren();
    more.hidden = true;
    tell("");
    return true;
  }
  tell("Searching …");
  try {
    const found = await ask(`/search?${new URLSearchParams({ q: query, top })}`, state.asked.signal);
    show(found);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message, true);
    return false;
  }
}

function show(found) {
  const all = part("about").dataset.images;
  pictures.replaceChildren(...found.images.map(tile));
  more.hidden = found.images.length < state.top || state.top >= MOST;
  const count = `The best ${found.images.length} of ${Number(all).toLocaleString("en")} pictures`;
  tell(`${count}, in ${Math.max(1, Math.round(1000 * found.seconds))} ms`);
  mark();
}

function tile(image) {
  const item = made("li");
  const button = made("button");
  button.type = "button";
  button.dataset.row = image.row;
  button.title = image.caption;
  button.append(picture(image), under(image));
  button.setAttribute("aria-label", `${image.caption} Score ${image.score.toFixed(2)}`);
  button.addEventListener("click", () => choose(image.row));
  item.append(button);
  return item;
}

function picture(image) {
  if (!image.photograph) return made("div", image.caption, "no-photo");
  const drawn = made("img");
  drawn.src = `/photograph/${image.row}`;
  drawn.alt = image.caption;
  drawn.addEventListener("error", () => drawn.replaceWith(made("div", image.caption, "no-photo")), { once: true });
  return drawn;
}

function under(image) {
  const line = made("span", "", "under");
  line.append(made("span", image.score.toFixed(3), "score"), made("span", called(image), "name"));
  return line;
}

function called(image) {
  return image.name?.split("/").pop() ?? `image ${image.id ?? image.row}`;
}

// One picture

async function choose(row) {
  if (await open(row)) remember();
}

async function open(row) {
  let image;
  try {
    image = await ask(`/image/${row}?${new URLSearchParams({ q: state.query })}`);
  } catch (error) {
    tell(error.message, true);
    return false;
  }
  state.image = row;
  part("name").textContent = called(image);
  photo.replaceChildren(fitted(picture(image)));
  note.textContent = image.note ?? "";
  part("captions").replaceChildren(...image.captions.map(caption));
  chips(image.words ?? [], image.photograph);
  look.hidden = false;
  main.classList.add("looking");
  mark();
  if (!matchMedia("(min-width: 60rem)").matches) look.scrollIntoView({ block: "start" });
  return true;
}

function fitted(drawn) {
  drawn.addEventListener("load", () => photo.style.setProperty("--ratio", drawn.naturalWidth / drawn.naturalHeight));
  return drawn;
}

function closeLook() {
  state.image = null;
  look.hidden = true;
  main.classList.remove("looking");
  mark();
}

function mark() {
  for (const button of buttons()) button.setAttribute("aria-pressed", Number(button.dataset.row) === state.image);
}

function caption(text) {
  const item = made("li");
  const button = made("button", text);
  button.type = "button";
  button.title = "Search for this caption";
  button.addEventListener("click", () => submit(text));
  item.append(button);
  return item;
}

// Words and their regions: words that chose one region have one colour

function chips(found, drawn) {
  state.chosen = null;
  const regions = [...new Set(found.map((word) => word.region))];
  const colour = (word) => COLOURS[regions.indexOf(word.region) % COLOURS.length];
  words.replaceChildren(...found.map((word) => chip(word, colour(word))));
  if (!drawn) return;
  for (const number of regions) {
    const own = found.filter((word) => word.region === number);
    if (own[0].box) photo.append(region(own, colour(own[0])));
  }
}

function chip(word, colour) {
  const button = made("button", word.word);
  button.type = "button";
  button.dataset.region = word.region;
  button.style.setProperty("--own", colour);
  button.append(made("span", word.similarity.toFixed(2), "score"));
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    state.chosen = state.chosen === button ? null : button;
    light(state.chosen);
  });
  button.addEventListener("mouseenter", () => light(button));
  button.addEventListener("mouseleave", () => light(state.chosen));
  button.addEventListener("focus", () => button.matches(":focus-visible") && light(button));
  button.addEventListener("blur", () => light(state.chosen));
  return button;
}

function region(own, colour) {
  const [left, top, right, bottom] = own[0].box.map((share) => 100 * share);
  const frame = made("div", "", "region");
  frame.dataset.region = own[0].region;
  frame.classList.toggle("high", top < 9);
  frame.classList.toggle("right", left > 60);
  frame.style.setProperty("--own", colour);
  frame.style.left = `${left}%`;
  frame.style.top = `${top}%`;
  frame.style.width = `${right - left}%`;
  frame.style.height = `${bottom - top}%`;
  frame.append(made("span", own.map((word) => word.word).join(" ")));
  return frame;
}

function light(button) {
  for (const frame of photo.querySelectorAll(".region")) {
    frame.hidden = button !== null && frame.dataset.region !== button.dataset.region;
    frame.classList.toggle("alone", button !== null);
  }
  for (const other of words.children) other.setAttribute("aria-pressed", other === state.chosen);
}

// A photograph of one's own

async function send(file) {
  if (part("upload").hidden) return tell("This page takes no photographs.", true);
  const most = Number(part("upload").dataset.largest);
  if (file.size > most) return tell(`A photograph has at most ${Math.floor(most / 2 ** 20)} MB.`, true);
  await submit("");
  tell("Looking at the photograph …");
  state.asked?.abort();
  state.asked = new AbortController();
  const headers = { "Content-Type": "application/octet-stream" };
  try {
    const found = await ask("/captions", state.asked.signal, { method: "POST", body: file, headers });
    const ms = Math.max(1, Math.round(1000 * found.seconds));
    tell(`The ${found.captions.length} captions that fit best, in ${ms} ms; each opens its picture`);
    part("own").src = URL.createObjectURL(file);
    part("answers").replaceChildren(...found.captions.map(answer));
    part("examples").hidden = true;
    part("shown").hidden = false;
  } catch (error) {
    if (error.name !== "AbortError") tell(error.message, true);
  }
}

function answer(found) {
  const item = made("li");
  const button = made("button");
  button.type = "button";
  button.append(made("span", found.score.toFixed(3), "score"), made("span", found.caption));
  button.addEventListener("click", () => open(found.row));
  item.append(button);
  return item;
}

function forget() {
  if (part("own").src) URL.revokeObjectURL(part("own").src);
  part("own").removeAttribute("src");
  part("answers").replaceChildren();
  part("shown").hidden = true;
}

part("upload").addEventListener("click", () => part("file").click());
part("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) send(file);
  event.target.value = "";
});
document.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});

// Keys

function buttons() {
  return [...pictures.querySelectorAll("button")];
}

function step(from, key) {
  const all = buttons();
  const place = all.indexOf(from);
  const tops = all.map((button) => button.getBoundingClientRect().top);
  const across = Math.max(1, tops.filter((top) => top === tops[0]).length);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  if (place + by < 0 && key === "ArrowUp") sentence.focus();
  else all[place + by]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const at = document.activeElement;
  if (event.key === "Escape") {
    const row = state.image;
    if (row === null) return sentence.select();
    closeLook();
    remember();
    (buttons().find((button) => Number(button.dataset.row) === row) ?? sentence).focus();
  } else if (event.key === "/" && at !== sentence) {
    sentence.focus();
    sentence.select();
  } else if (event.key === "ArrowDown" && at === sentence) {
    buttons()[0]?.focus();
  } else if (event.key.startsWith("Arrow") && pictures.contains(at)) {
    step(at, event.key);
  } else if (["ArrowLeft", "ArrowRight"].includes(event.key) && words.contains(at)) {
    (event.key === "ArrowLeft" ? at.previousElementSibling : at.nextElementSibling)?.focus();
  } else {
    return;
  }
  event.preventDefault();
});

async function submit(text) {
  sentence.value = text;
  closeLook();
  if (await search(text, FIRST)) remember();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(sentence.value);
});
more.addEventListener("click", () => search(state.query, Math.min(2 * state.top, MOST)));
part("close").addEventListener("click", () => {
  closeLook();
  remember();
});
addEventListener("popstate", restore);

try {
  const about = await ask("/about");
  state.longest = about.longest;
  part("upload").hidden = about.largest === null;
  part("upload").dataset.largest = about.largest ?? 0;
  part("about").dataset.images = about.images;
  part("about").textContent =
    `${about.images.toLocaleString("en")} pictures of ${about.data}, ${about.split} · model ${about.model}`;
  for (const text of about.examples) {
    const button = made("button", text);
    button.type = "button";
    button.addEventListener("click", () => submit(text));
    part("examples").append(button);
  }
} catch (error) {
  tell(error.message, true);
}
restore();
