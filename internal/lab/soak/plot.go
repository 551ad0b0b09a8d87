//go:build linux

package soak

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// A plot is one measure over the run.
type plot struct {
	title string
	lines []line
}

// A line is of one daemon, broken where that was not there or was another one.
type line struct {
	name   string
	points []point
}

type point struct {
	at, value float64
	rest      bool
	// life changes where the line is broken.
	life int
}

// The plot's measures in pixels.
const (
	left, width = 60, 820
	height      = 150
)

func colours() []string { return []string{"#0969da", "#bc4c00"} }

// plots are all of them, with a mark for each fault.
func (r Report) plots() string {
	var b strings.Builder
	b.WriteString("<h2>Over time</h2><p>Dots are samples at rest; grey lines are faults.</p>\n")
	mib := func(v int64) float64 { return float64(v) / (1 << 20) }
	count := func(v int64) float64 { return float64(v) }
	for _, k := range kinds() {
		p, scale := plot{title: k.name}, count
		if k.bytes {
			p.title, scale = k.name+", MiB", mib
		}
		if k.of == nil {
			l := line{name: "the whole"}
			for _, s := range r.Samples {
				if v := k.at(s); v >= 0 {
					l.points = append(l.points, point{s.At, scale(v), s.Rest, 0})
				}
			}
			p.lines = []line{l}
		} else {
			for _, who := range []string{controller, agent} {
				l := line{name: who}
				for _, s := range r.Samples {
					if d, ok := s.Of[who]; ok && k.of(d) >= 0 {
						l.points = append(l.points, point{s.At, scale(k.of(d)), s.Rest, d.Life})
					}
				}
				p.lines = append(p.lines, l)
			}
		}
		b.WriteString(r.draw(p))
	}
	return b.String()
}

// draw is a plot as SVG.
func (r Report) draw(p plot) string {
	top, end := 0.0, max(r.Seconds, 1)
	for _, l := range p.lines {
		for _, q := range l.points {
			top = max(top, q.value)
		}
	}
	if top == 0 {
		top = 1
	}
	step := figures.Ticks(top)
	top = step * math.Ceil(top/step)
	x := func(at float64) float64 { return left + at/end*width }
	y := func(v float64) float64 { return height - v/top*(height-10) }
	var b strings.Builder
	fmt.Fprintf(&b, "<h3>%[1]s</h3>\n"+`<svg xmlns="http://www.w3.org/2000/svg" width="%[2]d" height="%[3]d" role="img" aria-label="%[1]s">`+"\n", html.EscapeString(p.title), left+width+20, height+40)
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#eaeef2"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left, left+width, y(v), y(v), left-6, y(v)+4, figures.Label(v))
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="10" y2="%d" stroke="#afb8c1"><title>%s, %s</title></line>`+"\n", x(f.At), x(f.At), height, html.EscapeString(f.What), html.EscapeString(f.How))
	}
	minute := figures.Ticks(end / 60)
	for m := 0.0; m*60 <= end; m += minute {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s min</text>`+"\n", x(m*60), height+16, figures.Label(m))
	}
	for i, l := range p.lines {
		colour := colours()[i%len(colours())]
		fmt.Fprintf(&b, `<text x="%d" y="%d" style="fill:%s">%s</text>`+"\n", left+i*100, height+34, colour, html.EscapeString(l.name))
		for at := 0; at < len(l.points); {
			var path strings.Builder
			from := at
			for ; at < len(l.points) && l.points[at].life == l.points[from].life; at++ {
				fmt.Fprintf(&path, "%.1f,%.1f ", x(l.points[at].at), y(l.points[at].value))
			}
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1" stroke-opacity=".5"/>`+"\n", strings.TrimSpace(path.String()), colour)
		}
		for _, q := range l.points {
			if q.rest {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>`+"\n", x(q.at), y(q.value), colour)
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
