package figures

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Table is one measure, a row per rival.
type Table struct {
	Title, Unit string
	Rows        []Row
	Faults      []string
}

// A Row is one rival. Values are in the table's unit.
type Row struct {
	Name          string
	Failed        int
	Values        []float64 // in the order of rounds
	P50, P99, Max float64
	// Ratio is that of ours to it at p50, 0 where there is none; Low to High hold it
	// with 95 % confidence.
	Ratio, Low, High float64
	// All are its records, in the order of the file.
	All []Record
}

// units are how figures are shown: the unit, and what of it the file's unit is.
var units = map[string]struct {
	name string
	part float64
}{
	"us": {"ms", 1e-3}, "packets/s": {"thousand packets/s", 1e-3}, "kbit/s": {"Mbit/s", 1e-3}, "ppm": {"%", 1e-4},
}

// Tables makes them in the order of the file. ours are the names of rows that the
// others of their table are held against.
func Tables(all []Record, ours ...string) (tables []Table, failed int) {
	for _, r := range all {
		u, ok := units[r.Unit]
		if !ok {
			continue // of the machine
		}
		t := slices.IndexFunc(tables, func(t Table) bool { return t.Title == r.Measure })
		if t < 0 {
			t, tables = len(tables), append(tables, Table{Title: r.Measure, Unit: u.name})
		}
		w := slices.IndexFunc(tables[t].Rows, func(w Row) bool { return w.Name == r.What })
		if w < 0 {
			w, tables[t].Rows = len(tables[t].Rows), append(tables[t].Rows, Row{Name: r.What})
		}
		line := &tables[t].Rows[w]
		line.All = append(line.All, r)
		if r.Fault != nil {
			line.Failed, failed = line.Failed+1, failed+1
			tables[t].Faults = append(tables[t].Faults, fmt.Sprintf("%s, round %d: %s", r.What, r.Round, r.Fault))
			continue
		}
		line.Values = append(line.Values, float64(r.Value)*u.part)
	}
	for i := range tables {
		tables[i].compute(ours)
	}
	return tables, failed
}

// compute fills in what is computed, against the row that is ours.
func (t *Table) compute(ours []string) {
	var base []Record
	for _, w := range t.Rows {
		if slices.Contains(ours, w.Name) {
			base = w.All
		}
	}
	for i := range t.Rows {
		w := &t.Rows[i]
		w.P50, w.P99, w.Max = w.quantile(0.5), w.quantile(0.99), w.quantile(1)
		if x, y := pairs(base, w.All); !slices.Contains(ours, w.Name) && len(x) > 0 {
			in := Bootstrap(x, y, Ratio)
			w.Ratio, w.Low, w.High = Ratio(x, y), in.Low, in.High
		}
	}
}

func (w *Row) quantile(q float64) float64 {
	var good []int64
	part := 1.0
	for _, r := range w.All {
		if r.Fault == nil {
			good, part = append(good, r.Value), units[r.Unit].part
		}
	}
	slices.Sort(good)
	return float64(Quantile(good, q)) * part
}

// pairs are both sides' values of the rounds in which both did well.
func pairs(a, b []Record) (x, y []int64) {
	values := func(list []Record) map[int]int64 {
		m := map[int]int64{}
		for _, r := range list {
			if r.Fault == nil {
				m[r.Round] = r.Value
			}
		}
		return m
	}
	of, other := values(a), values(b)
	for _, round := range slices.Sorted(maps.Keys(of)) {
		if v, ok := other[round]; ok {
			x, y = append(x, of[round]), append(y, v)
		}
	}
	return x, y
}

// Number shows three digits that matter.
func Number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Against is the row's ratio as text.
func (w Row) Against() string {
	if w.Ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", w.Ratio, w.Low, w.High)
}

// Markdown is the table as text, with what is to be said of it.
func (t Table) Markdown(note string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("\n## %s\n", strings.ToUpper(t.Title[:1])+t.Title[1:])
	if note != "" {
		say("%s\n", note)
	}
	say("| %s | n | failed | p50 | p99 | most | nicferry's p50 to its [interval] |\n|---|---|---|---|---|---|---|", t.Unit)
	for _, w := range t.Rows {
		say("| %s | %d | %d | %s | %s | %s | %s |", w.Name, len(w.Values), w.Failed, Number(w.P50), Number(w.P99), Number(w.Max), w.Against())
	}
	for _, fault := range t.Faults {
		say("\n- failed: %s", strings.ReplaceAll(fault, "\n", " "))
	}
	return b.String()
}
