//go:build linux

package plugbench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// What the project promises.
const (
	overVirsh  = 1.1     // times virsh --live --config, at p50
	noStall    = 5000000 // µs, of any detach
	overDocker = 3.0     // times docker0's packets per second, expected
)

// A table is one measure, a row per rival.
type table struct {
	Title, Unit string
	Rows        []row
	Faults      []string
}

// A row is one rival. Values are in the table's unit.
type row struct {
	Name          string
	Failed        int
	Values        []float64 // in the order of rounds
	P50, P99, Max float64
	ratio         float64 // ours to it, at p50; 0 where there is none
	low, high     float64 // of ratio, with 95 % confidence
	raw           []figures.Record
}

// units are how figures are shown: the unit, and what of it the file's unit is.
var units = map[string]struct {
	name string
	part float64
}{
	"us": {"ms", 1e-3}, "packets/s": {"thousand packets/s", 1e-3}, "kbit/s": {"Mbit/s", 1e-3},
}

// makeTables makes them in the order of the file.
func makeTables(all []figures.Record) (tables []table, failed int) {
	for _, r := range all {
		u, ok := units[r.Unit]
		if !ok {
			continue // of the machine
		}
		t := slices.IndexFunc(tables, func(t table) bool { return t.Title == r.Measure })
		if t < 0 {
			t, tables = len(tables), append(tables, table{Title: r.Measure, Unit: u.name})
		}
		w := slices.IndexFunc(tables[t].Rows, func(w row) bool { return w.Name == r.What })
		if w < 0 {
			w, tables[t].Rows = len(tables[t].Rows), append(tables[t].Rows, row{Name: r.What})
		}
		line := &tables[t].Rows[w]
		line.raw = append(line.raw, r)
		if r.Fault != nil {
			line.Failed, failed = line.Failed+1, failed+1
			tables[t].Faults = append(tables[t].Faults, fmt.Sprintf("%s, round %d: %s", r.What, r.Round, r.Fault))
			continue
		}
		line.Values = append(line.Values, float64(r.Value)*u.part)
	}
	for i := range tables {
		tables[i].compute()
	}
	return tables, failed
}

// compute fills in what is computed, against the first row that is ours.
func (t *table) compute() {
	var base []figures.Record
	for _, w := range t.Rows {
		if w.Name == ours || w.Name == pathNIC {
			base = w.raw
		}
	}
	for i := range t.Rows {
		w := &t.Rows[i]
		w.P50, w.P99, w.Max = w.quantile(0.5), w.quantile(0.99), w.quantile(1)
		if x, y := pairs(base, w.raw); w.Name != ours && w.Name != pathNIC && len(x) > 0 {
			in := figures.Bootstrap(x, y, figures.Ratio)
			w.ratio, w.low, w.high = figures.Ratio(x, y), in.Low, in.High
		}
	}
}

func (w *row) quantile(q float64) float64 {
	var good []int64
	part := 1.0
	for _, r := range w.raw {
		if r.Fault == nil {
			good, part = append(good, r.Value), units[r.Unit].part
		}
	}
	slices.Sort(good)
	return float64(figures.Quantile(good, q)) * part
}

// pairs are both sides' values of the rounds in which both did well.
func pairs(a, b []figures.Record) (x, y []int64) {
	values := func(list []figures.Record) map[int]int64 {
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

// A promise is one that the figures keep or break.
type promise struct {
	What, Is, Want string
	Kept           bool
	// Sure: the whole interval keeps it, or breaks it, and not the median alone.
	Sure bool
}

func promises(tables []table) (list []promise) {
	find := func(title, name string) *row {
		for _, t := range tables {
			for i := range t.Rows {
				if t.Title == title && t.Rows[i].Name == name {
					return &t.Rows[i]
				}
			}
		}
		return nil
	}
	against := func(title, name, what string, bound float64, least bool) {
		w := find(title, name)
		if w == nil || w.ratio == 0 {
			return
		}
		word, kept, sure := "at most", w.ratio <= bound, (w.low <= bound) == (w.high <= bound)
		if least {
			word, kept, sure = "at least", w.ratio >= bound, (w.low >= bound) == (w.high >= bound)
		}
		list = append(list, promise{what, fmt.Sprintf("%.2f × [%.2f, %.2f]", w.ratio, w.low, w.high), fmt.Sprintf("%s %.1f ×", word, bound), kept, sure})
	}
	against(attach, virshLive, "attach until the guest sees the link, to `virsh --live`, p50", overVirsh, false)
	against(attach, virshBoth, "the same to `virsh --live --config`, which does as much", overVirsh, false)
	for _, measure := range []string{detach, frozen} {
		if w := find(measure, ours); w != nil {
			list = append(list, promise{"longest of " + strconv.Itoa(len(w.Values)) + ": " + measure, number(w.Max) + " ms", "less than 5 s", w.Max < noStall/1000, true})
		}
	}
	if w := find(cycle, ours); w != nil {
		list = append(list, promise{"cycles of one MAC that lost or doubled it", fmt.Sprintf("%d of %d", w.Failed, len(w.raw)), "none", w.Failed == 0, true})
	}
	for _, kind := range []string{late, preplug} {
		if w, bare := find(reply, kind), find(started, noNetwork); w != nil && len(w.Values) > 0 {
			is := fmt.Sprintf("%s ms of %d", number(w.P50), len(w.Values))
			if bare != nil && len(bare.Values) > 0 {
				is += fmt.Sprintf("; docker start without a network alone takes %s ms", number(bare.P50))
			}
			list = append(list, promise{"request (docker start) to first ping reply, warm guest, p50: " + kind, is, told, true, true})
		}
	}
	against(udpGot, pathDocker, "packets/s of the hot-plugged NIC to docker0's", overDocker, true)
	return list
}

// told is wanted of what is only to be told.
const told = "told"

// number shows three digits that matter.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
