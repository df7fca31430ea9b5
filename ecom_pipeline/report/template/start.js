// Bringing the page to life: sections, theme, printing, and which section is being read.
const root = document.documentElement;
const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
const isDark = () => root.dataset.theme ? root.dataset.theme === 'dark' : prefersDark.matches;

function showTheme() {
  const button = byId('theme');
  button.textContent = isDark() ? 'Light' : 'Dark';
  button.setAttribute('aria-label', isDark() ? 'Use light colours' : 'Use dark colours');
  button.setAttribute('aria-pressed', String(root.dataset.theme !== undefined));
}

function startAll() {
  startExplorer();
  startValue();
  startPeople();
  startNextSteps();
  startSimilar();
  startFunnel();
  startPaths();
  startTrends();
}

byId('theme').addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  showTheme();
  redrawAll();
});
prefersDark.addEventListener('change', () => {
  showTheme();
  redrawAll();
});
byId('print').addEventListener('click', () => window.print());
let printing = false;
let themeBefore;
window.addEventListener('beforeprint', () => {
  themeBefore = root.dataset.theme;
  root.dataset.theme = 'light';
  printing = true;
  for (const kept of charts.values()) {
    redraw(kept);
    const svg = kept.place.querySelector('svg');
    svg.setAttribute('viewBox', `0 0 ${kept.chart.getWidth()} ${kept.chart.getHeight()}`);
    svg.style.maxWidth = `${kept.chart.getWidth()}px`; // on paper no chart is greater than on the screen
  }
});
window.addEventListener('afterprint', () => {
  if (themeBefore === undefined) delete root.dataset.theme;
  else root.dataset.theme = themeBefore;
  printing = false;
  for (const kept of charts.values()) {
    const svg = kept.place.querySelector('svg');
    svg.removeAttribute('viewBox');
    svg.style.maxWidth = '';
  }
  redrawAll();
});

let waiting = 0;
new ResizeObserver(() => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => { if (!printing) redrawAll(); });
}).observe(byId('main'));

const links = new Map([...document.querySelectorAll('nav.sections a')].map((link) => [link.hash.slice(1), link]));
const reading = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => markSection(entry.target.id)), {rootMargin: '-70px 0px -75% 0px'});
function markSection(id) {
  for (const link of links.values()) link.removeAttribute('aria-current');
  const link = links.get(id);
  link.setAttribute('aria-current', 'true');
  const list = link.closest('ul');
  list.scrollLeft = link.offsetLeft - list.clientWidth / 2 + link.offsetWidth / 2;
}
for (const id of links.keys()) reading.observe(byId(id));

showTheme();
startAll();
performance.mark('report-drawn');
root.dataset.drawn = String(Math.round(performance.now()));
