// Draws every <div class="plot"> from the JSON beside it. Strings of an option that the page
// resolves: '$name' under a key that names a colour, '@template' under the key 'formatter'.
(() => {
  const CANVAS_FROM = 4000; // marks: above, a plot is drawn on a canvas, below as SVG
  const palettes = {
    light: {
      ink: '#1b2330', muted: '#5b6675', line: '#e1e5ea', card: '#ffffff', neutral: '#9aa3ae',
      series: ['#0b6aa8', '#d55e00', '#00846a', '#b4598f', '#a87400', '#4f5bd5', '#7a4a1e', '#5c6773'],
      sequential: ['#f7f8fb', '#cfe3ee', '#8fc6d6', '#4ba3b8', '#2a7b9f', '#2c5187', '#33265e'],
      diverging: ['#1d4f91', '#5c93c6', '#b5d0e6', '#f5f5f3', '#f5c89c', '#dd8331', '#8f4105']
    },
    dark: {
      ink: '#e7ebf0', muted: '#9aa6b4', line: '#2b333e', card: '#191f27', neutral: '#7c8896',
      series: ['#5ab4f0', '#ff9d57', '#3fd0ae', '#e596c4', '#e6c04d', '#a5adff', '#d3a277', '#b4bfcc'],
      sequential: ['#1d2430', '#2c3a6b', '#31688e', '#21908c', '#35b779', '#a6db3a', '#fde725'],
      diverging: ['#9fd0ff', '#4a8fd0', '#2a4d75', '#262d37', '#7d4a1c', '#dd8331', '#ffd09a']
    }
  };
  const digits = (value, n) =>
    Number(value).toLocaleString('en-US', {minimumFractionDigits: n, maximumFractionDigits: n});
  const times = value =>
    value >= 10 ? digits(value, 0) : value >= 0.095 || value === 0 ? digits(value, value >= 1 ? 1 : 2) : digits(value, 3);
  const formats = {
    int: value => digits(value, 0),
    f1: value => digits(value, 1),
    f2: value => digits(value, 2),
    f3: value => digits(value, 3),
    pct: value => digits(100 * value, 1) + '\u2009%',
    pct0: value => digits(100 * value, 0) + '\u2009%',
    times: value => times(value) + '\u00d7',
    pow2: value => (value < 0 ? '1/' + times(2 ** -value).replace('.0', '') : times(2 ** value).replace('.0', '')) + '\u00d7',
    si: value => new Intl.NumberFormat('en-US', {notation: 'compact', maximumFractionDigits: 1}).format(value)
  };
  const escapes = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};
  const escaped = text => text.replace(/[&<>"']/g, c => escapes[c]);
  const plain = text => text;

  // 'Layer {value.1}: {value.2:pct}' -> a function; '{marker}' is the coloured dot of a tooltip
  const fill = (template, params, escape) =>
    template.replace(/\{([^}:]+)(?::(\w+))?\}/g, (all, path, format) => {
      const value = path.split('.').reduce((at, key) => (at == null ? at : at[key]), params);
      if (path === 'marker') {
        return value || '';
      }
      if (value == null || value === '-' || (format && Number.isNaN(Number(value)))) {
        return 'none';
      }
      return escape(format ? formats[format](Number(value)) : String(value));
    });
  const formatter = template => {
    const [head, ...rest] = template.split('\n');
    return params => {
      if (Array.isArray(params)) {
        const shown = params.filter(item => item.value != null && item.value !== '-');
        return [fill(head, params[0], escaped)]
            .concat(...shown.map(item => rest.map(line => fill(line, item, escaped))))
            .join('<br>');
      }
      return params !== null && typeof params === 'object'
          ? [head, ...rest].map(line => fill(line, params, escaped)).join('<br>')
          : fill(head, {value: params}, plain);
    };
  };
  const resolve = (node, palette, key, colour) => {
    if (typeof node === 'string') {
      if (colour && node[0] === '$') {
        const [name, index] = node.slice(1).split('.');
        return index === undefined ? palette[name] : palette[name][index];
      }
      return key === 'formatter' && node[0] === '@' ? formatter(node.slice(1)) : node;
    }
    if (Array.isArray(node)) {
      // rows of numbers hold nothing to resolve
      return typeof node[0] === 'number' ? node : node.map(item => resolve(item, palette, key, colour));
    }
    if (node && typeof node === 'object') {
      return Object.fromEntries(Object.entries(node)
          .map(([name, value]) => [name, resolve(value, palette, name, /color/i.test(name))]));
    }
    return node;
  };

  const theme = palette => {
    const axis = {
      axisLine: {lineStyle: {color: palette.muted}}, axisTick: {lineStyle: {color: palette.muted}},
      axisLabel: {color: palette.muted}, nameTextStyle: {color: palette.muted},
      splitLine: {lineStyle: {color: palette.line}}
    };
    return {
      color: palette.series, backgroundColor: 'transparent',
      textStyle: {fontFamily: getComputedStyle(document.body).fontFamily, color: palette.ink},
      title: {textStyle: {color: palette.ink, fontSize: 13, fontWeight: 600}, subtextStyle: {color: palette.muted}},
      legend: {textStyle: {color: palette.ink}},
      tooltip: {
        backgroundColor: palette.card, borderColor: palette.line, textStyle: {color: palette.ink, fontSize: 13},
        axisPointer: {lineStyle: {color: palette.muted}, crossStyle: {color: palette.muted}}
      },
      visualMap: {textStyle: {color: palette.muted}},
      categoryAxis: axis, valueAxis: axis, logAxis: axis
    };
  };

  const points = option => [].concat(option.series || [])
      .reduce((sum, series) => sum + ((series.data || []).length || 0) + ((series.links || []).length || 0), 0);
  const marks = element => {
    const canvas = element.querySelector('canvas');
    if (!canvas) {
      return element.querySelectorAll('svg path, svg rect, svg circle, svg polyline').length;
    }
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let drawn = 0;
    for (let at = 3; at < pixels.length; at += 4) {
      drawn += pixels[at] > 0 ? 1 : 0;
    }
    return drawn;
  };

  const root = document.documentElement;
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const plots = [...document.querySelectorAll('.plot')].map(element => ({
    element, option: JSON.parse(document.getElementById(element.id + '-option').textContent), chart: null
  }));
  root.dataset.plots = '0';
  const draw = plot => {
    const palette = dark.matches ? palettes.dark : palettes.light;
    if (plot.chart) {
      plot.chart.dispose();
    }
    plot.chart = echarts.init(plot.element, theme(palette), {
      renderer: points(plot.option) > CANVAS_FROM ? 'canvas' : 'svg'
    });
    plot.chart.on('finished', () => {
      if (!plot.element.dataset.marks) {
        root.dataset.plots = String(Number(root.dataset.plots) + 1);
      }
      plot.element.dataset.marks = String(marks(plot.element));
    });
    plot.chart.setOption(Object.assign({animation: false, aria: {enabled: true}}, resolve(plot.option, palette, '', false)));
  };
  plots.forEach(draw);
  dark.addEventListener('change', () => plots.forEach(draw));
  const sizes = new ResizeObserver(entries => entries.forEach(entry => {
    const plot = plots.find(candidate => candidate.element === entry.target);
    if (plot.chart && plot.chart.getWidth() !== entry.target.clientWidth) {
      plot.chart.resize();
    }
  }));
  plots.forEach(plot => sizes.observe(plot.element));
  window.addEventListener('beforeprint', () => plots.forEach(plot => plot.chart.resize()));
})();
