package figures

import (
	"fmt"
	"strings"
)

// A Promise is one that the figures keep or break.
type Promise struct {
	What, Is, Want string
	Kept           bool
	// Sure: the whole interval keeps it, or breaks it, and not the median alone.
	Sure bool
}

// Told is wanted of what is only to be told.
const Told = "told"

// Word says whether the promise is kept.
func (p Promise) Word() string {
	word := "no"
	if p.Want == Told {
		return ""
	}
	if p.Kept {
		word = "yes"
	}
	if !p.Sure {
		word += ", by the median; the interval allows both"
	}
	return word
}

// AtMost promises that ours is no more than bound times the row.
func (w Row) AtMost(what string, bound float64) Promise {
	return w.promise(what, "at most", bound, w.Ratio <= bound, (w.Low <= bound) == (w.High <= bound))
}

// AtLeast promises that ours is no less than bound times the row.
func (w Row) AtLeast(what string, bound float64) Promise {
	return w.promise(what, "at least", bound, w.Ratio >= bound, (w.Low >= bound) == (w.High >= bound))
}

func (w Row) promise(what, word string, bound float64, kept, sure bool) Promise {
	return Promise{what, fmt.Sprintf("%.2f × [%.2f, %.2f]", w.Ratio, w.Low, w.High), fmt.Sprintf("%s %.1f ×", word, bound), kept, sure}
}

// Promised is a table of them as text.
func Promised(list []Promise) string {
	var b strings.Builder
	b.WriteString("| promise, or figure to be told | is | want | kept |\n|---|---|---|---|\n")
	for _, p := range list {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.What, p.Is, p.Want, p.Word())
	}
	return b.String()
}

// RowOf is the table's row of that title and name, nil if there is none.
func RowOf(tables []Table, title, name string) *Row {
	for _, t := range tables {
		for i := range t.Rows {
			if t.Title == title && t.Rows[i].Name == name {
				return &t.Rows[i]
			}
		}
	}
	return nil
}
