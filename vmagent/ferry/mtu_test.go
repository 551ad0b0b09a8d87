//go:build linux

package ferry

import "testing"

// A lease's MTU is taken in and put right there, and taken back at home.
func TestEntryMTU(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 1400)
			for _, c := range []struct{ asked, want int }{{1300, 1300}, {1280, 1280}, {0, 1400}, {1300, 1300}} {
				l, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, Entry{Name: "eth0", MTU: c.asked})
				w.ok(err)
				if l.MTU != c.want {
					t.Errorf("asked for %d: MTU %d, want %d", c.asked, l.MTU, c.want)
				}
			}
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
			w.clean(n, 1400)
		})
	}
}
