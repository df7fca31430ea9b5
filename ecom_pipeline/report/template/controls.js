// Controls that work by mouse, touch and keyboard alike: a group of choices, and a field that finds one of many.
function segments(id, choices, chosen, onChoice) {
  const group = byId(id);
  const buttons = choices.map(({value, label}) => {
    const button = element('button', {type: 'button', role: 'radio', 'data-value': value}, label);
    button.addEventListener('click', () => choose(value));
    return button;
  });
  function show(value) {
    for (const button of buttons) {
      const on = button.dataset.value === value;
      button.setAttribute('aria-checked', on);
      button.tabIndex = on ? 0 : -1;
    }
  }
  function choose(value) {
    show(value);
    onChoice(value);
  }
  group.replaceChildren(...buttons);
  group.onkeydown = (event) => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const place = buttons.findIndex((button) => button.getAttribute('aria-checked') === 'true');
    const next = buttons[(place + step + buttons.length) % buttons.length];
    next.focus();
    choose(next.dataset.value);
  };
  group.hidden = choices.length < 2;
  show(chosen);
  return show;
}

const LISTED = 100;
function finder(name, onChoice) {
  const input = byId(name + '-input');
  const list = byId(name + '-list');
  let options = [];
  let found = [];
  let current = null;
  let active = -1;
  const text = (option) => option.label;

  function close() {
    list.hidden = true;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
    input.value = current ? text(current) : '';
  }
  function mark(place) {
    active = place;
    [...list.children].forEach((item, at) => item.setAttribute('aria-selected', at === place));
    const item = list.children[place];
    if (item && found.length) {
      input.setAttribute('aria-activedescendant', item.id);
      item.scrollIntoView({block: 'nearest'});
    }
  }
  function open(wanted) {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    found = options.filter((option) => words.every((word) => option.search.includes(word))).slice(0, LISTED);
    list.replaceChildren(...found.map((option, place) => {
      const item = element('li', {role: 'option', id: `${name}-option-${place}`}, element('span', {}, option.label), option.hint ? element('small', {}, option.hint) : null);
      item.addEventListener('pointerdown', (event) => {
        event.preventDefault();
        choose(option);
      });
      return item;
    }));
    if (!found.length) list.replaceChildren(element('li', {class: 'none'}, 'Nothing on this page is called so.'));
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    mark(found.length ? Math.max(0, wanted ? 0 : found.indexOf(current)) : -1);
  }
  function choose(option) {
    current = option;
    close();
    onChoice(option.value);
  }
  input.addEventListener('focus', () => input.select());
  input.addEventListener('click', () => { if (list.hidden) open(''); });
  input.addEventListener('input', () => open(input.value));
  input.addEventListener('blur', close);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      if (list.hidden) open('');
      else if (found.length) mark((active + (event.key === 'ArrowDown' ? 1 : -1) + found.length) % found.length);
    } else if (event.key === 'Enter' && !list.hidden && found[active]) {
      event.preventDefault();
      choose(found[active]);
    } else if (event.key === 'Escape') {
      close();
    }
  });
  return {
    offer(offered, value) {
      options = offered.map((option) => ({...option, search: `${option.label} ${option.hint ?? ''} ${option.value}`.toLowerCase()}));
      current = options.find((option) => option.value === value) ?? options[0];
      close();
    },
  };
}
