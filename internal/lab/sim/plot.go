//go:build linux

package sim

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// A bar is one value of a plot.
type bar struct {
	name  string
	value float64
}

// The plot's measures in pixels.
const (
	labelWidth = 170
	plotWidth  = 560
	rowHeight  = 26
)

// plot draws a table's bars; nothing if it has none.
func plot(t table) string {
	top := 0.0
	for _, r := range t.bars {
		top = max(top, r.value)
	}
	if top == 0 {
		return ""
	}
	step := figures.Ticks(top)
	top = step * math.Ceil(top/step)
	at := func(v float64) float64 { return labelWidth + v/top*plotWidth }
	height := rowHeight*len(t.bars) + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		labelWidth+plotWidth+60, height, html.EscapeString(t.title))
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="4" y2="%d" stroke="#d0d7de"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at(v), at(v), height-34, at(v), height-20, figures.Label(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth+plotWidth, height-4, html.EscapeString(t.unit))
	for i, r := range t.bars {
		y := rowHeight*i + 8
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="16" fill="#0969da" fill-opacity=".6"/><text x="%.1f" y="%d">%.3g</text>`+"\n",
			labelWidth-8, y+12, html.EscapeString(r.name), labelWidth, y, at(r.value)-labelWidth, at(r.value)+5, y+12, r.value)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
