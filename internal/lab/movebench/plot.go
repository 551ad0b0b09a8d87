//go:build linux

package movebench

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The plot's measures in pixels.
const (
	labelWidth  = 330
	plotWidth   = 600
	roundHeight = 4
	rivalGap    = 16
)

// plot draws when the peer heard nothing: a row per round, from when the move was
// ordered; empty where nothing was measured.
func plot(tables []figures.Table, all []figures.Record, title string) string {
	begins := map[string]map[int]float64{}
	for _, r := range all {
		if r.Measure != title+fromOrder || r.Fault != nil {
			continue
		}
		if begins[r.What] == nil {
			begins[r.What] = map[int]float64{}
		}
		begins[r.What][r.Round] = float64(r.Value) / 1000
	}
	for _, t := range tables {
		if t.Title == title {
			return draw(t, begins)
		}
	}
	return ""
}

func draw(t figures.Table, begins map[string]map[int]float64) string {
	top, rounds := 0.0, 0
	for _, w := range t.Rows {
		for _, r := range good(w) {
			top = max(top, begins[w.Name][r.Round]+float64(r.Value)/1000)
			rounds++
		}
	}
	if top == 0 {
		return ""
	}
	tick := figures.Ticks(top)
	top = tick * math.Ceil(top/tick)
	at := func(v float64) float64 { return labelWidth + max(v, 0)/top*plotWidth }
	height := roundHeight*rounds + rivalGap*len(t.Rows) + 44
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		labelWidth+plotWidth+40, height, html.EscapeString(t.Title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n")
	for v := 0.0; v <= top+tick/2; v += tick {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="4" y2="%d" stroke="#d0d7de"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at(v), at(v), height-36, at(v), height-20, figures.Label(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">ms after the order; a bar is a round, and the time in which the peer heard nothing (TCG guests)</text>`+"\n", labelWidth+plotWidth+20, height-4)
	y := 8.0
	for _, w := range t.Rows {
		color := "#8c959f"
		if strings.HasPrefix(w.Name, ours) {
			color = "#0969da"
		}
		list := good(w)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+float64(len(list)*roundHeight)/2+4, html.EscapeString(w.Name))
		for _, r := range list {
			from := begins[w.Name][r.Round]
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`, at(from), y, at(from+float64(r.Value)/1000)-at(from), roundHeight-1, color)
			y += roundHeight
		}
		b.WriteString("\n")
		y += rivalGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// good are the row's records of runs that did well.
func good(w figures.Row) (list []figures.Record) {
	for _, r := range w.All {
		if r.Fault == nil {
			list = append(list, r)
		}
	}
	return list
}
