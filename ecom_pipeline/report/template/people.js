// People: some users with their history and outlook, and what probabilities of next steps were worth.
const EVENT_WORDS = {view: 'looked at', favourite: 'liked', cart: 'put into the cart', remove: 'took out of the cart', purchase: 'bought', return: 'returned', search: 'searched for'};
function startPeople() {
  if (sections.people.left_out) return;
  const {users} = sections.people;
  const select = byId('user');
  select.replaceChildren(...users.map((user, place) => element('option', {value: place}, `${user.user_id} · ${user.segment ?? 'has not bought yet'}`)));
  const show = () => {
    const user = users[Number(select.value)];
    const facts = [['RFM segment', user.segment ?? 'has not bought yet'], ['Events', plain(user.events)], ['Products', plain(user.products)], ['Last seen', shortDay(user.last_event)], ['Last purchase', user.last_purchase ? shortDay(user.last_purchase) : '–'], ['Bought for', user.monetary === null ? '–' : money(user.monetary)], ...(user.p_buys === null ? [] : [[`Buys within ${user.buys_within} days`, chance(user.p_buys, 0)]]), ...(user.state_segment === null ? [] : [['Segment by the model', plain(user.state_segment)]])];
    const most = Math.max(...user.recommendations.map((one) => one.probability ?? 0));
    const history = user.history.map((one) => element('li', {}, element('time', {datetime: one.event_date}, shortDay(one.event_date)), element('span', {}, element('span', {class: 'event ' + one.event}, EVENT_WORDS[one.event] ?? one.event), ` ${one.name ?? one.item_id}`, one.times > 1 ? element('span', {class: 'hint'}, ` ${one.times} times`) : '')));
    const next = user.recommendations.map((one) => element('li', {}, element('span', {class: 'rank'}, one.rank), element('span', {}, element('b', {}, one.name ?? one.item_id), element('span', {class: 'reason'}, one.reason)), element('span', {class: 'meter'}, one.probability === null ? '' : chance(one.probability), element('small', {}, one.probability === null ? '' : `within ${one.window_days} days`), meter(one.probability, most))));
    byId('user-card').replaceChildren(
      element('dl', {class: 'user-facts'}, ...facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))),
      element('div', {class: 'user-split'}, element('div', {}, element('h3', {}, 'What the user did last'), element('ul', {class: 'events'}, ...history)), element('div', {}, element('h3', {}, 'What comes next'), element('ol', {class: 'ranked'}, ...next))),
    );
  };
  select.addEventListener('change', show);
  show();
}

const CURVE_WORDS = {buys: 'Buys', nothing: 'Does nothing', purchase: 'Buys next'};
function startNextSteps() {
  if (sections.next_steps.left_out) return;
  const curves = Object.entries(sections.next_steps.curves);
  if (!curves.length) return;
  const most = Math.max(...curves.flatMap(([, points]) => points.flatMap((point) => [point.predicted, point.observed])));
  const axis = (name) => ({...valueAxis((value) => Math.round(100 * value) + ' %'), min: 0, max: Math.ceil(10 * most) / 10, name, nameLocation: 'middle', nameGap: 30, nameTextStyle: axisText()});
  const tints = ['forecast', 'past', 'violet'];
  draw('reliability-chart', () => ({
    label: 'Probability said and share that came: ' + curves.map(([name, points]) => `${CURVE_WORDS[name]} from ${percent(points[0].predicted)} said, ${percent(points[0].observed)} came, to ${percent(points.at(-1).predicted)} said, ${percent(points.at(-1).observed)} came`).join('; '),
    option: {
      grid: {...grid(34, 18), bottom: 26, left: 26},
      legend: legend(curves.map(([name]) => CURVE_WORDS[name])),
      tooltip: {...tooltip(), trigger: 'item', formatter: ({seriesName, data: point}) => `${escaped(seriesName)}<br>said ${percent(point[0])}, came ${percent(point[1])}<br>${plain(point[2])} users`},
      xAxis: axis('said'),
      yAxis: axis('came'),
      series: [
        {type: 'line', data: [[0, 0], [most, most]], symbol: 'none', silent: true, lineStyle: {color: colour('soft'), type: 'dashed', width: 1}},
        ...curves.map(([name, points], place) => ({...lineSeries(CURVE_WORDS[name], points.map((point) => [point.predicted, point.observed, point.users]), colour(tints[place])), showSymbol: true})),
      ],
    },
  }));
  fillTable('reliability', () => table([{title: 'What'}, {title: 'Said', number: true}, {title: 'Came', number: true}, {title: 'Users', number: true}], curves.flatMap(([name, points]) => points.map((point) => [CURVE_WORDS[name], percent(point.predicted), percent(point.observed), plain(point.users)])), 'Probabilities said and shares that came'));
}
