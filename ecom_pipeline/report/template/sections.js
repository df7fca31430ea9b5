// The sections of the page that pick and draw; what needs no choice is in the page already.
const WEEKS_SHOWN = {weeks: 56, year: 365};
const explorer = {level: 'total', chosen: {}, measure: null, range: 'weeks'};
let setLevel = null;
let seriesFinder = null;

function ofLevel(level) {
  return sections.forecast.series.filter((series) => series.level === level);
}
function shownSeries() {
  return ofLevel(explorer.level).find((series) => series.id === explorer.chosen[explorer.level]);
}

function startExplorer() {
  if (sections.forecast.left_out) return;
  const levels = ['total', 'category', 'product'].filter((level) => ofLevel(level).length);
  const labels = {total: 'Total', category: 'Category', product: 'Product'};
  explorer.level = levels[0];
  for (const level of levels) explorer.chosen[level] = ofLevel(level)[0].id;
  const measures = ['revenue', 'quantity'].filter((measure) => sections.forecast.series.some((series) => series.forecast[measure]));
  explorer.measure = measures.at(-1);
  setLevel = segments('level', levels.map((value) => ({value, label: labels[value]})), explorer.level, (level) => {
    explorer.level = level;
    offerSeries();
    showSeries();
  });
  segments('measure', measures.map((value) => ({value, label: value === 'revenue' ? 'Revenue' : 'Units'})), explorer.measure, (measure) => {
    explorer.measure = measure;
    showSeries();
  });
  segments('range', [{value: 'weeks', label: '8 weeks'}, {value: 'year', label: 'A year'}], explorer.range, (range) => {
    explorer.range = range;
    showSeries();
  });
  seriesFinder = finder('series', (id) => {
    explorer.chosen[explorer.level] = id;
    showSeries();
  });
  offerSeries();
  showSeries();
  for (const button of document.querySelectorAll('[data-product]')) {
    const known = ofLevel('product').some((series) => series.id === button.dataset.product);
    if (!known) button.replaceWith(button.textContent);
    else button.addEventListener('click', () => showProduct(button.dataset.product));
  }
}

function showProduct(id) {
  explorer.level = 'product';
  explorer.chosen.product = id;
  explorer.measure = 'quantity';
  setLevel('product');
  for (const button of byId('measure').children) button.setAttribute('aria-checked', button.dataset.value === 'quantity');
  offerSeries();
  showSeries();
  byId('forecast').scrollIntoView();
  byId('series-input').focus({preventScroll: true});
}

function offerSeries() {
  const picker = byId('series-picker');
  picker.hidden = explorer.level === 'total';
  byId('range').hidden = explorer.level === 'product';
  if (picker.hidden) return;
  byId('series-label').textContent = explorer.level === 'category' ? 'Category' : 'Product';
  seriesFinder.offer(ofLevel(explorer.level).map((series) => ({value: series.id, label: series.name, hint: explorer.level === 'product' ? series.id : ''})), explorer.chosen[explorer.level]);
}

// All arrays as long as the days shown: the past up to the night, then the days ahead.
function shownDays(series) {
  const measure = series.forecast[explorer.measure] ? explorer.measure : 'quantity';
  const wanted = explorer.level === 'product' ? WEEKS_SHOWN.weeks : WEEKS_SHOWN[explorer.range];
  const sold = series.sold[measure].slice(-wanted);
  const ahead = series.forecast[measure];
  const horizon = ahead.mean.length;
  const before = (values) => [...Array(sold.length).fill(null), ...values];
  const past = Array(sold.length).fill(null);
  const pastLow = [...past];
  const pastHigh = [...past];
  for (const [daysAgo, mean, low, high] of series.past[measure] ?? []) {
    const place = sold.length - 1 - daysAgo;
    if (place < 0) continue;
    past[place] = mean;
    pastLow[place] = low;
    pastHigh[place] = high;
  }
  return {
    measure, horizon, sold, past, pastLow, pastHigh,
    days: Array.from({length: sold.length + horizon}, (_, place) => isoDay(place - sold.length + 1)),
    actual: [...sold, ...Array(horizon).fill(null)],
    ahead: Object.fromEntries(Object.entries(ahead).map(([name, values]) => [name, before(values)])),
    forecast: ahead,
    hasPast: past.some((value) => value !== null),
    promoted: new Set(series.promotions.map((daysAgo) => isoDay(-daysAgo))),
    holidays: new Set((ofLevel('total')[0]?.holidays ?? []).map((daysAgo) => isoDay(-daysAgo))),
  };
}

function showSeries() {
  const series = shownSeries();
  const shown = shownDays(series);
  const words = shown.measure === 'revenue' ? 'revenue' : 'units';
  const detail = [series.category, series.first_seen ? `first seen ${shortDay(series.first_seen)}` : null, series.model === 'seasonal_profile' ? 'made by the seasonal profile' : null].filter(Boolean).join(' · ');
  byId('forecast-name').replaceChildren(series.name, detail ? element('small', {}, detail) : '');
  const {last_week: lastWeek, next_week: nextWeek, ahead, baseline} = series.totals[shown.measure];
  const tiles = [
    ['Last 7 days', amount(lastWeek, shown.measure), ''],
    ['Next 7 days, expected', amount(nextWeek, shown.measure), lastWeek > 0 ? ` ${nextWeek >= lastWeek ? '+' : '−'}${Math.abs(100 * (nextWeek / lastWeek - 1)).toFixed(1)} %` : ''],
    [`Next ${shown.horizon} days, expected`, amount(ahead, shown.measure), ''],
    ['Seasonal profile says', amount(baseline, shown.measure), ` in ${shown.horizon} days`],
  ];
  byId('forecast-tiles').replaceChildren(...tiles.map(([title, value, small]) => element('div', {}, element('dt', {}, title), element('dd', {}, value, element('small', {}, small)))));
  draw('forecast-chart', (width) => ({option: forecastOption(shown, width), label: `${series.name}: ${words} a day. Last 7 days ${amount(lastWeek, shown.measure)}, next 7 days expected ${amount(nextWeek, shown.measure)}.`}));
  fillTable('forecast', () => forecastTable(shown, series));
}

function forecastOption(shown, width) {
  const tint = colour('forecast');
  const {ahead} = shown;
  const names = ['Sold', 'Expected', '50 %', '80 %', '90 %', 'Seasonal profile'];
  if (shown.hasPast) names.splice(1, 0, 'Forecast then');
  const marks = shown.days.filter((day) => shown.promoted.has(day) || shown.holidays.has(day));
  const marked = explorer.level === 'product' ? 'Promotion or holiday' : 'Holiday';
  if (marks.length) names.push(marked);
  return {
    grid: grid(width < 560 ? 74 : 44),
    legend: legend(names),
    tooltip: {...tooltip(), formatter: (points) => forecastTip(shown, points[0].dataIndex)},
    xAxis: dayAxis(shown.days, width < 560),
    yAxis: {...valueAxis(shortNumber), min: 0},
    series: [
      ...band('90 %', ahead.p05, ahead.p95, tint, 0.13, 'a'),
      ...band('80 %', ahead.p10, ahead.p90, tint, 0.17, 'b'),
      ...band('50 %', ahead.p25, ahead.p75, tint, 0.26, 'c'),
      ...(shown.hasPast ? [
        ...band('Interval then', shown.pastLow, shown.pastHigh, colour('past'), 0.15, 'd'),
        lineSeries('Forecast then', shown.past, colour('past'), {showSymbol: shown.past.filter((value) => value !== null).length < 4}),
      ] : []),
      lineSeries('Seasonal profile', ahead.baseline, colour('baseline'), {lineStyle: {color: colour('baseline'), width: 1.5, type: [5, 4]}}),
      lineSeries('Expected', ahead.mean, tint, {lineStyle: {color: tint, width: 2.5}}),
      lineSeries('Sold', shown.actual, colour('actual'), {
        lineStyle: {color: colour('actual'), width: 1.7},
        markLine: {silent: true, symbol: 'none', label: {formatter: 'tonight', color: colour('soft'), fontSize: 11, position: 'end'}, lineStyle: {color: colour('soft'), type: 'dotted'}, data: [{xAxis: isoDay(0)}]},
      }),
      ...(marks.length ? [{name: marked, type: 'scatter', symbol: 'triangle', symbolSize: 7, itemStyle: {color: colour('violet')}, data: marks.map((day) => [day, 0]), silent: true, clip: false}] : []),
    ],
  };
}

function forecastTip(shown, place) {
  const say = (value) => escaped(amount(value, shown.measure));
  const day = shown.days[place];
  const lines = [`<b>${weekday(day)}</b>`];
  if (shown.actual[place] !== null) lines.push(`Sold ${say(shown.actual[place])}`);
  else if (place < shown.sold.length) lines.push('Sold: not known (out of stock, or no price)');
  if (shown.past[place] !== null && shown.past[place] !== undefined) lines.push(`Forecast then ${say(shown.past[place])} (${say(shown.pastLow[place])} to ${say(shown.pastHigh[place])})`);
  if (shown.ahead.mean[place] !== null && shown.ahead.mean[place] !== undefined) {
    lines.push(`Expected ${say(shown.ahead.mean[place])}`, `80 %: ${say(shown.ahead.p10[place])} to ${say(shown.ahead.p90[place])}`, `90 %: ${say(shown.ahead.p05[place])} to ${say(shown.ahead.p95[place])}`, `Seasonal profile ${say(shown.ahead.baseline[place])}`);
  }
  if (shown.promoted.has(day)) lines.push('on promotion');
  if (shown.holidays.has(day)) lines.push('public holiday');
  return lines.join('<br>');
}

function forecastTable(shown, series) {
  const say = (values, place) => values[place] === null || values[place] === undefined ? '' : amount(values[place], shown.measure);
  const rows = shown.days.map((day, place) => [weekday(day), say(shown.actual, place), say(shown.past, place), say(shown.ahead.mean, place), say(shown.ahead.p10, place), say(shown.ahead.p90, place), say(shown.ahead.baseline, place)]);
  const titles = ['Day', 'Sold', 'Forecast then', 'Expected', '80 % from', '80 % to', 'Seasonal profile'];
  return table(titles.map((title, place) => ({title, number: place > 0})), rows.slice(-(shown.horizon + 28)).reverse(), `${series.name} by day`);
}

function fillTable(name, make) {
  const details = document.querySelector(`[data-table="${name}"]`);
  const fill = () => { if (details.open) details.querySelector('.scroll').replaceChildren(make()); };
  details.ontoggle = fill;
  fill();
}

function startValue() {
  if (sections.value.left_out) return;
  const made = sections.value.made.filter((row) => row.measure === 'quantity');
  const rows = made.length ? made.map((row) => ({name: `${row.level}, ${row.ahead.replace('days ', '').replace(' and later', '+')}${row.ahead.includes('1 to 7') ? ' days' : ''}`, ...row})) : sections.value.held_out.map((row) => ({name: row.dataset, ...row}));
  draw('value-chart', () => ({
    label: 'Error of the model beside the baseline: ' + rows.map((row) => `${row.name} ${percent(row.wape)} against ${percent(row.baseline_wape)}`).join('; '),
    option: {
      grid: grid(34, 30),
      legend: legend(['Model', 'Baseline']),
      tooltip: {...tooltip(), axisPointer: {type: 'shadow', shadowStyle: {color: colour('line'), opacity: 0.35}}, valueFormatter: (value) => percent(value)},
      xAxis: {...valueAxis((value) => Math.round(100 * value) + ' %'), min: 0},
      yAxis: {type: 'category', inverse: true, data: rows.map((row) => row.name), axisTick: {show: false}, axisLine: {show: false}, axisLabel: {...axisText(), color: colour('text')}},
      series: [
        {name: 'Model', type: 'bar', data: rows.map((row) => row.wape), itemStyle: {color: colour('forecast'), borderRadius: [0, 4, 4, 0]}, barGap: '12%', barMaxWidth: 15},
        {name: 'Baseline', type: 'bar', data: rows.map((row) => row.baseline_wape), itemStyle: {color: colour('baseline'), opacity: 0.7, borderRadius: [0, 4, 4, 0]}, barMaxWidth: 15},
      ],
    },
  }));
}

function meter(value, most) {
  const bar = element('i');
  bar.style.width = most > 0 ? `${(100 * (value ?? 0) / most).toFixed(1)}%` : '0';
  return element('span', {class: 'bar', 'aria-hidden': 'true'}, bar);
}

function startSimilar() {
  if (sections.similar.left_out) return;
  const {items} = sections.similar;
  const show = (id) => {
    const item = items.find((one) => one.item_id === id);
    const most = Math.max(...item.similar.map((one) => one.score));
    byId('similar-card').replaceChildren(...item.similar.map((one, place) => element('li', {}, element('span', {class: 'rank'}, place + 1), element('span', {}, element('b', {}, one.name ?? one.item_id), element('span', {class: 'reason'}, one.category ?? (one.name ? one.item_id : ''))), element('span', {class: 'meter'}, one.score.toFixed(2), meter(one.score, most)))));
  };
  finder('similar', show).offer(items.map((item) => ({value: item.item_id, label: item.name ?? item.item_id, hint: item.name ? item.item_id : ''})), items[0].item_id);
  show(items[0].item_id);
}

function startFunnel() {
  if (sections.funnel.left_out) return;
  const {splits, has_carts: hasCarts} = sections.funnel;
  const names = ['all', 'user type', 'channel', 'category'].filter((name) => splits[name]);
  const steps = [['visits', 'Visits'], ['with_view', 'Looked'], ...(hasCarts ? [['then_cart', 'Cart']] : []), ['then_purchase', 'Bought']];
  const show = (name) => {
    const card = byId('funnel-card');
    card.classList.toggle('one', splits[name].length === 1);
    card.replaceChildren(...splits[name].map((part) => element('div', {}, element('h3', {}, part.part), ...steps.map(([key, label]) => {
      const bar = element('i');
      bar.style.width = `${(100 * part[key] / Math.max(part.visits, 1)).toFixed(1)}%`;
      return element('div', {class: 'step'}, element('span', {}, label), element('span', {class: 'track', 'aria-hidden': 'true'}, bar), element('span', {class: 'num'}, element('b', {}, plain(part[key])), key === 'visits' ? '' : ` · ${percent(part[key] / Math.max(part.visits, 1))}`));
    }))));
  };
  segments('funnel-split', names.map((value) => ({value, label: value === 'all' ? 'All visits' : 'By ' + value})), 'all', show);
  show('all');
}

function startPaths() {
  if (sections.paths.left_out) return;
  const {flows, top} = sections.paths;
  const kinds = Object.keys(flows);
  const show = (kind) => {
    const flow = flows[kind];
    const tints = ['forecast', 'past', 'violet', 'baseline', 'good'];
    const states = [...new Set(flow.nodes.map((name) => name.replace(/^\d+\. /, '')))];
    draw('paths-chart', () => ({
      label: `Flow of ${plain(flow.visits)} visits. Greatest: ` + flow.links.slice(0, 3).map((link) => `${link.source} to ${link.target}, ${plain(link.visits)}`).join('; '),
      option: {
        tooltip: {...tooltip(), trigger: 'item', formatter: ({dataType, data: one, value}) => dataType === 'edge' ? `${escaped(one.source)} → ${escaped(one.target)}<br><b>${plain(value)}</b> visits` : `${escaped(one.name)}<br><b>${plain(value)}</b> visits`},
        series: [{
          type: 'sankey', left: 4, right: 92, top: 10, bottom: 10, nodeWidth: 12, nodeGap: 11, draggable: false, emphasis: {focus: 'adjacency'},
          data: flow.nodes.map((name) => ({name, itemStyle: {color: name === 'bought' ? colour('good') : name === 'left' ? colour('soft') : colour(tints[states.indexOf(name.replace(/^\d+\. /, '')) % tints.length]), borderWidth: 0}})),
          links: flow.links.map((link) => ({source: link.source, target: link.target, value: link.visits})),
          lineStyle: {color: 'source', opacity: 0.28, curveness: 0.5},
          label: {color: colour('text'), fontSize: 12, textBorderWidth: 0, formatter: ({name}) => name.replace(/^\d+\. /, '')},
        }],
      },
    }));
    const shares = Object.entries(flow.shares).map(([outcome, share]) => `${percent(share, 0)} of those that ${outcome === 'purchase' ? 'bought' : 'left'}`).join(' and ');
    byId('paths-note').textContent = `${plain(flow.visits)} visits of the last ${flow.period_days} days: ${shares}.${Object.values(flow.shares).every((share) => share > 0.995) ? '' : ' Rarer paths are left out.'}`;
    fillTable('paths', () => table([{title: 'From'}, {title: 'To'}, {title: 'Visits', number: true}], flow.links.map((link) => [link.source, link.target, plain(link.visits)]), 'Flow of visits'));
    byId('paths-top').replaceChildren(...['purchase', 'leave'].map((outcome) => [outcome, top[kind].filter((row) => row.outcome === outcome)]).filter(([, rows]) => rows.length).map(([outcome, rows]) => element('div', {}, element('h3', {}, outcome === 'purchase' ? 'Most frequent ways to a purchase' : 'Most frequent ways out'), table([{title: 'Path'}, {title: 'Visits', number: true}, {title: 'Share', number: true}], rows.map((row) => [row.path, plain(row.sessions), percent(row.share)]), outcome))));
  };
  segments('paths-kind', kinds.map((value) => ({value, label: value === 'event' ? 'What people do' : 'Categories they visit'})), kinds[0], show);
  show(kinds[0]);
}

function startTrends() {
  const {nights} = sections.quality;
  if (byId('quality-chart')) {
    draw('quality-chart', (width) => ({
      label: 'Rules that did not hold by night: ' + nights.map((night) => `${night.as_of} ${night.failed} of ${night.rules}`).join(', '),
      option: {
        grid: grid(12), tooltip: {...tooltip(), valueFormatter: (value) => `${value} rules`},
        xAxis: {...dayAxis(nights.map((night) => night.as_of), width < 560), boundaryGap: true}, yAxis: {...valueAxis(shortNumber), min: 0, max: ({max}) => Math.max(max, 4), minInterval: 1},
        series: [{name: 'Did not hold', type: 'bar', data: nights.map((night) => night.failed), itemStyle: {color: colour('warn'), borderRadius: [4, 4, 0, 0]}, barMaxWidth: 26}],
      },
    }));
  }
  if (sections.models.left_out) return;
  const trends = sections.models.trend;
  byId('model-trends').replaceChildren(...trends.map((trend, place) => element('div', {class: 'card'},
    element('h3', {}, `${trend.model_name}: ${trend.dataset}`),
    element('p', {class: 'now'}, percent(trend.values.at(-1)), element('small', {}, ` baseline ${percent(trend.baselines.at(-1))}`)),
    element('p', {class: 'hint'}, trend.words),
    trend.nights.length > 1 ? element('div', {class: 'chart low', id: `trend-${place}`, role: 'img'}) : null)));
  trends.forEach((trend, place) => {
    if (trend.nights.length < 2) return;
    const told = [...trend.values, ...trend.baselines].filter((value) => value !== null);
    const span = Math.max(...told) - Math.min(...told);
    const digits = span < 0.004 ? 2 : span < 0.05 ? 1 : 0;  // so that neighbouring ticks differ
    draw(`trend-${place}`, (width) => ({
      label: `${trend.model_name}, ${trend.dataset}, ${trend.metric} from ${percent(trend.values[0])} to ${percent(trend.values.at(-1))} in ${trend.nights.length} nights`,
      option: {
        grid: grid(30), legend: legend(['Champion', 'Baseline']), tooltip: {...tooltip(), valueFormatter: (value) => percent(value)},
        xAxis: dayAxis(trend.nights, width < 420), yAxis: {...valueAxis((value) => percent(value, digits)), scale: true},
        series: [lineSeries('Champion', trend.values, colour('forecast'), {showSymbol: trend.nights.length < 20, step: 'end'}), lineSeries('Baseline', trend.baselines, colour('baseline'), {lineStyle: {color: colour('baseline'), width: 1.5, type: [5, 4]}})],
      },
    }));
  });
}
