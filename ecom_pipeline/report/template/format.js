// Numbers, days and elements. Text always goes in as text, never as HTML: names are the shop's and may hold anything.
const data = JSON.parse(document.getElementById('data').textContent);
const sections = data.sections;
const DAY = 86400000;
const asOf = Date.parse(data.as_of + 'T00:00:00Z');
const byId = (id) => document.getElementById(id);

function plain(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits});
}
const money = (value) => value === null || value === undefined ? '–' : data.money.before + plain(value) + data.money.after;
const amount = (value, measure) => measure === 'revenue' ? money(value) : plain(value);
const percent = (share, digits = 1) => share === null || share === undefined ? '–' : (100 * share).toFixed(digits) + ' %';
// A probability that is not quite 0 or 1 is not written as if it were.
const chance = (share, digits = 1) => {
  const least = 10 ** -(digits + 2);
  if (share > 0 && share < least / 2) return 'under ' + percent(least, digits);
  if (share < 1 && share > 1 - least / 2) return 'over ' + percent(1 - least, digits);
  return percent(share, digits);
};
const isoDay = (daysFromNight) => new Date(asOf + daysFromNight * DAY).toISOString().slice(0, 10);
const shortDay = (iso) => new Date(iso + 'T00:00:00Z').toLocaleDateString('en-GB', {day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC'});
const weekday = (iso) => new Date(iso + 'T00:00:00Z').toLocaleDateString('en-GB', {weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC'});
const inWords = (name) => name.replaceAll('_', ' ');
const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => '&#' + c.charCodeAt(0) + ';');

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function table(columns, rows, caption) {
  const head = element('tr', {}, ...columns.map((column) => element('th', {scope: 'col', class: column.number ? 'num' : null}, column.title)));
  const body = rows.map((row) => element('tr', {}, ...row.map((cell, place) => element('td', {class: columns[place].number ? 'num' : null}, cell))));
  return element('table', {}, element('caption', {class: 'visually-hidden'}, caption), element('thead', {}, head), element('tbody', {}, ...body));
}
