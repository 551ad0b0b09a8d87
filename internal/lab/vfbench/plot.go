//go:build linux

package vfbench

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// The plot's measures in pixels.
const (
	labelWidth = 150
	plotWidth  = 640
	rowHeight  = 18
	sizeGap    = 26
)

// draw is the figure as a picture: for each size a row per path, a dot per run and a bar
// up to the median; empty where nothing was measured.
func draw(f figure, tables []figures.Table) string {
	top := 0.0
	for _, s := range f.sizes {
		for _, name := range pathNames() {
			if w := figures.RowOf(tables, f.measure(s), name); w != nil {
				top = max(top, w.Max)
			}
		}
	}
	if top == 0 {
		return ""
	}
	step := figures.Ticks(top)
	top = step * math.Ceil(top/step)
	at := func(v float64) float64 { return labelWidth + v/top*plotWidth }
	height := len(f.sizes)*(len(pathNames())*rowHeight+sizeGap) + 44
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img" aria-label="%s" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		labelWidth+plotWidth+40, height, html.EscapeString(f.title))
	b.WriteString(`<rect width="100%" height="100%" fill="#ffffff"/>` + "\n")
	for v := 0.0; v <= top+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="4" y2="%d" stroke="#d0d7de"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			at(v), at(v), height-36, at(v), height-20, figures.Label(v))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s, %s; a bar is the median, a dot a run (TCG guest, emulated cards)</text>`+"\n",
		labelWidth+plotWidth+20, height-4, html.EscapeString(f.title), html.EscapeString(f.shown))
	y := 6.0
	for _, s := range f.sizes {
		fmt.Fprintf(&b, `<text x="8" y="%.1f" font-weight="bold">%s</text>`+"\n", y+12, html.EscapeString(s.name))
		y += sizeGap - 6
		for _, name := range pathNames() {
			drawRow(&b, name, figures.RowOf(tables, f.measure(s), name), y, at)
			y += rowHeight
		}
		y += 6
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func drawRow(b *strings.Builder, name string, w *figures.Row, y float64, at func(float64) float64) {
	color := "#8c959f"
	if name == oneVF || name == bondVF {
		color = "#0969da"
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, labelWidth-8, y+11, html.EscapeString(name))
	if w != nil {
		fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s" fill-opacity=".35"/>`, labelWidth, y+1, at(w.P50)-labelWidth, rowHeight-4, color)
		for n, v := range w.Values {
			jitter := float64(n*7%11) - 5 // runs of one value stay apart
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2" fill="%s"/>`, at(v), y+8+jitter, color)
		}
	}
	b.WriteString("\n")
}
