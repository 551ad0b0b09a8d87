//go:build linux

package plugbench

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The plot's measures in pixels.
const (
	labelWidth = 270
	plotWidth  = 600
	rowHeight  = 30
)

// plot draws a row per rival: a dot per run, a bar up to the median.
func plot(t figures.Table) string {
	top := 0.0
	for _, w := range t.Rows {
		top = max(top, w.Max)
	}
	if top == 0 {
		return ""
	}
	step := figures.Ticks(top)
	top = step * math.Ceil(top/step)
	at := func(v float64) float64 { return labelWidth + v/top*plotWidth }
	height := rowHeight*len(t.Rows) + 40
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		labelWidth+plotWidth+40, height, html.EscapeString(t.Title))
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="4" y2="%d" stroke="#d0d7de"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at(v), at(v), height-30, at(v), height-14, figures.Label(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s, TCG guest</text>`+"\n", labelWidth+plotWidth+20, height-1, html.EscapeString(t.Unit))
	for i, w := range t.Rows {
		y := float64(rowHeight*i) + rowHeight/2 + 4
		color := "#8c959f"
		if w.Name == ours || w.Name == pathNIC {
			color = "#0969da"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, labelWidth-8, y+4, html.EscapeString(w.Name))
		fmt.Fprintf(&b, `<rect x="%d" y="%.1f" width="%.1f" height="16" fill="%s" fill-opacity=".35"/>`, labelWidth, y-8, at(w.P50)-labelWidth, color)
		for n, v := range w.Values {
			jitter := float64(n*7%11) - 5 // runs of one value stay apart
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2" fill="%s"/>`, at(v), y+jitter, color)
		}
		b.WriteString("\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}
