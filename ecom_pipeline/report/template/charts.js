// Charts, in the colours of the page, redrawn when these or the width change. On paper their SVG is scaled by the style.
const charts = new Map();

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
}

function draw(id, describe) {
  const place = byId(id);
  if (!place) return;
  let kept = charts.get(id);
  if (!kept) {
    kept = {chart: echarts.init(place, null, {renderer: 'svg'}), place};
    charts.set(id, kept);
  }
  kept.describe = describe;
  redraw(kept);
}

function redraw({chart, describe, place}) {
  const {option, label} = describe(place.clientWidth);
  place.setAttribute('aria-label', label);
  chart.setOption({
    animation: false,
    textStyle: {fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif', color: colour('text')},
    ...option,
  }, {notMerge: true});
}

function redrawAll() {
  for (const kept of charts.values()) {
    kept.chart.resize();
    redraw(kept);
  }
}

const tooltip = () => ({
  trigger: 'axis', confine: true, backgroundColor: colour('card'), borderColor: colour('line'),
  textStyle: {color: colour('text'), fontSize: 13}, axisPointer: {lineStyle: {color: colour('soft')}},
});
const axisText = () => ({color: colour('soft'), fontSize: 12});
const valueAxis = (format) => ({
  type: 'value', axisLabel: {...axisText(), formatter: format}, splitLine: {lineStyle: {color: colour('line')}}, splitNumber: 4,
});
const shortNumber = (value) => Math.abs(value) >= 1000 ? (value / 1000).toLocaleString('en-US', {maximumFractionDigits: 1}) + 'k' : value.toLocaleString('en-US', {maximumFractionDigits: 2});
const dayAxis = (days, narrow) => ({
  type: 'category', data: days, boundaryGap: false, axisTick: {show: false}, axisLine: {lineStyle: {color: colour('line')}},
  axisLabel: {...axisText(), hideOverlap: true, formatter: (iso) => new Date(iso + 'T00:00:00Z').toLocaleDateString('en-GB', {day: 'numeric', month: 'short', timeZone: 'UTC'}), interval: Math.floor(days.length / (narrow ? 4 : 9))},
});
// Room for the labels of the axes, whatever their length.
const grid = (top, right = 12) => ({left: 6, right, top, bottom: 6, outerBoundsMode: 'same', outerBoundsContain: 'axisLabel'});
const legend = (names) => ({data: names.map((name) => ({name, ...(name.endsWith('%') ? {icon: 'roundRect'} : {})})), top: 0, left: 0, itemWidth: 18, itemHeight: 9, itemGap: 14, textStyle: {color: colour('soft'), fontSize: 12.5}, inactiveColor: colour('line')});
const lineSeries = (name, values, tint, extra = {}) => ({
  name, type: 'line', data: values, symbol: 'circle', symbolSize: 5, showSymbol: false, connectNulls: false,
  lineStyle: {color: tint, width: 2}, itemStyle: {color: tint}, emphasis: {disabled: true}, ...extra,
});

// A band is two stacked areas: an invisible one up to its lower end, and the visible one on top of it.
function band(name, low, high, tint, opacity, stack) {
  const width = low.map((value, place) => value === null || high[place] === null ? null : high[place] - value);
  const base = {type: 'line', stack, symbol: 'none', lineStyle: {opacity: 0}, emphasis: {disabled: true}, silent: true, stackStrategy: 'all'};
  return [
    {...base, name: name + ' low', data: low},
    {...base, name, data: width, areaStyle: {color: tint, opacity}, itemStyle: {color: tint, opacity: Math.min(1, opacity * 2)}},
  ];
}
